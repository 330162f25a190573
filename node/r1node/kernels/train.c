/* What training does between its matrix products, for one precision of activations (see number.h).
 *
 * Shape letters: M tokens, E hidden size, F size of the gated layer, N sequences, K key-value heads, R query heads to a
 * key-value head, T queries, S keys, V vocabulary. Every output value is summed by one thread in one order, so results
 * do not depend on the number of threads.
 */

#include "number.h"

/* Backward of out = x / rms(x) * weight: dx (M, E) += gradient by x; dweight (E) += gradient by weight, where it is
 * given. Returns 0, or 1 when there is no memory for M floats. */
int NAME(norm_backward)(const real *x, const real *weight, const real *g, float *dx, float *dweight, int64_t M,
                        int64_t E, float eps) {
    float *scales = malloc(sizeof(float) * M);
    if (!scales) return 1;
#pragma omp parallel for schedule(static)
    for (int64_t m = 0; m < M; m++) {
        const real *from = x + m * E, *slope = g + m * E;
        float *to = dx + m * E, squares = 0, dot = 0;
#pragma omp simd reduction(+ : squares, dot)
        for (int64_t e = 0; e < E; e++) {
            const float value = widen(from[e]);
            squares += value * value;
            dot += value * widen(slope[e]) * widen(weight[e]);
        }
        const float scale = 1.0f / sqrtf(squares / (float)E + eps);
        const float pull = dot * scale * scale / (float)E;
        scales[m] = scale;
#pragma omp simd
        for (int64_t e = 0; e < E; e++) to[e] += scale * (widen(slope[e]) * widen(weight[e]) - widen(from[e]) * pull);
    }
    if (dweight) {
#pragma omp parallel for schedule(static)
        for (int64_t start = 0; start < E; start += 4 * LANES) {
            const int64_t end = start + 4 * LANES < E ? start + 4 * LANES : E;
            for (int64_t m = 0; m < M; m++) {
#pragma omp simd
                for (int64_t e = start; e < end; e++) dweight[e] += widen(g[m * E + e]) * widen(x[m * E + e]) * scales[m];
            }
        }
    }
    free(scales);
    return 0;
}

/* From gate_up (M, 2F) and the gradient g (M, F) of silu(gate) * up: `out` (M, F), that product again, and
 * d_gate_up (M, 2F). */
void NAME(gate_backward)(const real *gate_up, const real *g, real *out, real *d_gate_up, int64_t M, int64_t F) {
#pragma omp parallel for schedule(static)
    for (int64_t m = 0; m < M; m++) {
        const real *row = gate_up + m * 2 * F, *slope = g + m * F;
        real *product = out + m * F, *to = d_gate_up + m * 2 * F;
#pragma omp simd
        for (int64_t f = 0; f < F; f++) {
            const float gate = widen(row[f]), up = widen(row[f + F]), by = widen(slope[f]);
            const float sigmoid = 1.0f / (1.0f + exponential(-gate));
            product[f] = narrow(gate * sigmoid * up);
            to[f] = narrow(by * up * sigmoid * (1.0f + gate * (1.0f - sigmoid)));
            to[f + F] = narrow(by * gate * sigmoid);
        }
    }
}

/* scores (N, K, R, T, S) float32 -> weights, their softmax over the keys that a query may see; slopes, the gradient by
 * the weights, becomes the gradient by q.k. Query t of sequence n sees keys [0, prefix[n]) and [P, P + first + t]. */
void NAME(softmax_backward)(float *scores, real *slopes, real *weights, const int64_t *prefix, int64_t N, int64_t heads,
                            int64_t T, int64_t S, int64_t P, int64_t first, float scale) {
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < N * heads * T; row++) {
        const int64_t n = row / (heads * T), shared = prefix[n], last = P + first + row % T + 1;
        float *score = scores + row * S, largest = score[P], total = 0, dot = 0;
        real *slope = slopes + row * S, *weight = weights + row * S;
        for (int64_t s = shared; s < P; s++) score[s] = -INFINITY;
#pragma omp simd reduction(max : largest)
        for (int64_t s = 0; s < last; s++) largest = score[s] > largest ? score[s] : largest;
#pragma omp simd reduction(+ : total, dot)
        for (int64_t s = 0; s < last; s++) {
            const float mass = score[s] == -INFINITY ? 0.0f : exponential((score[s] - largest) * scale);
            score[s] = mass;
            total += mass;
            dot += mass * widen(slope[s]);
        }
        const float share = 1.0f / total, mean = dot / total;
#pragma omp simd
        for (int64_t s = 0; s < last; s++) {
            const float mass = score[s] * share;
            weight[s] = narrow(mass);
            slope[s] = narrow(mass * (widen(slope[s]) - mean) * scale);
        }
        memset(weight + last, 0, (S - last) * sizeof(real));
        memset(slope + last, 0, (S - last) * sizeof(real));
    }
}

/* Fold a part of the vocabulary, logits (M, V) of tokens `start` and on, into running figures of each row: the largest
 * logit, the sum of exp(logit - largest), the sum of logit * exp(logit - largest), and the target's logit; logits are
 * multiplied by `scale`. Before the first part: -inf, 0, 0, anything. */
void NAME(head_fold)(const real *logits, const int64_t *targets, float *largest, float *sums, float *products,
                     float *chosen, int64_t M, int64_t V, int64_t start, float scale) {
#pragma omp parallel for schedule(static)
    for (int64_t m = 0; m < M; m++) {
        const real *row = logits + m * V;
        const int64_t target = targets[m] - start;
        if (target >= 0 && target < V) chosen[m] = widen(row[target]) * scale;
        float most = largest[m], sum = 0, product = 0;
#pragma omp simd reduction(max : most)
        for (int64_t v = 0; v < V; v++) {
            const float value = widen(row[v]) * scale;
            most = value > most ? value : most;
        }
#pragma omp simd reduction(+ : sum, product)
        for (int64_t v = 0; v < V; v++) {
            const float value = widen(row[v]) * scale, mass = exponential(value - most);
            sum += mass;
            product += value * mass;
        }
        const float shrink = sums[m] > 0 ? exponential(largest[m] - most) : 0.0f;
        sums[m] = sums[m] * shrink + sum;
        products[m] = products[m] * shrink + product;
        largest[m] = most;
    }
}

/* logits (M, V) of tokens `start` and on become coefficient * (one-hot(target) - softmax) * scale, the gradient of
 * coefficient * log-probability(target), where softmax = exp(logit * scale - normaliser). */
void NAME(head_slope)(real *logits, const int64_t *targets, const float *normalisers, const float *coefficients,
                      int64_t M, int64_t V, int64_t start, float scale) {
#pragma omp parallel for schedule(static)
    for (int64_t m = 0; m < M; m++) {
        real *row = logits + m * V;
        const float factor = coefficients[m] * scale, normaliser = normalisers[m];
        const int64_t target = targets[m] - start;
        const int here = target >= 0 && target < V;
        const float own = here ? widen(row[target]) : 0.0f;
#pragma omp simd
        for (int64_t v = 0; v < V; v++) row[v] = narrow(-factor * exponential(widen(row[v]) * scale - normaliser));
        if (here) row[target] = narrow(factor * (1.0f - exponential(own * scale - normaliser)));
    }
}

/* sum += part. */
void NAME(accumulate)(float *sum, const real *part, int64_t count) {
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; i++) sum[i] += widen(part[i]);
}

#define TILE 16
typedef real strip __attribute__((vector_size(TILE * sizeof(real))));
#define LEFT(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define RIGHT(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

/* A square of TILE by TILE: four rounds of interleaving rows with those half the square away turn rows into columns. */
static inline void tile(const real *in, int64_t in_stride, real *out, int64_t out_stride) {
    strip from[TILE], to[TILE];
    for (int i = 0; i < TILE; i++) memcpy(&from[i], in + i * in_stride, sizeof(strip));
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < TILE / 2; i++) {
            to[2 * i] = LEFT(from[i], from[i + TILE / 2]);
            to[2 * i + 1] = RIGHT(from[i], from[i + TILE / 2]);
        }
        memcpy(from, to, sizeof from);
    }
    for (int i = 0; i < TILE; i++) memcpy(out + i * out_stride, &from[i], sizeof(strip));
}

/* out (N, M) = in (M, N) transposed, in tiles, two side by side so that whole cache lines of 16-bit numbers are read. */
void NAME(transpose)(const real *in, real *out, int64_t M, int64_t N) {
#pragma omp parallel for schedule(static)
    for (int64_t strip = 0; strip < N; strip += 2 * TILE) {
        for (int64_t row = 0; row < M; row += TILE) {
            for (int64_t column = strip; column < N && column < strip + 2 * TILE; column += TILE) {
                if (row + TILE <= M && column + TILE <= N) {
                    tile(in + row * N + column, N, out + column * M + row, M);
                    continue;
                }
                for (int64_t m = row; m < M && m < row + TILE; m++)
                    for (int64_t n = column; n < N && n < column + TILE; n++) out[n * M + m] = in[m * N + n];
            }
        }
    }
}
