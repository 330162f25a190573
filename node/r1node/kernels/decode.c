/* What a decoding step does between its matrix products, for one precision of activations (see number.h).
 *
 * Shape letters: N rows (sequences), E hidden size, H heads, K key-value heads, R = H / K, D head size,
 * P room for prompt tokens, T room for completion tokens, V logits in a row, S block of logits.
 * The residual stream is float32; everything that enters a matrix product is `real`.
 * Rows are independent of one another, and each is computed by one thread in one order: a sequence's tokens depend
 * neither on its batch nor on the number of threads.
 */

#include "number.h"

/* x += delta where delta is given; out = x / rms(x) * weight (arXiv:1910.07467, eq. 4). */
void NAME(add_norm)(float *x, const real *delta, const real *weight, real *out, int64_t N, int64_t E, float eps) {
#pragma omp parallel for schedule(static) if (N > 8)
    for (int64_t n = 0; n < N; n++) {
        float *row = x + n * E;
        real *to = out + n * E;
        float squares = 0;
        if (delta) {
            const real *add = delta + n * E;
#pragma omp simd
            for (int64_t e = 0; e < E; e++) row[e] += widen(add[e]);
        }
#pragma omp simd reduction(+ : squares)
        for (int64_t e = 0; e < E; e++) squares += row[e] * row[e];
        const float scale = 1.0f / sqrtf(squares / (float)E + eps);
#pragma omp simd
        for (int64_t e = 0; e < E; e++) to[e] = narrow(row[e] * scale * widen(weight[e]));
    }
}

static void rotate(real *head, const float *cosine, const float *sine, int64_t half) {
#pragma omp simd
    for (int64_t d = 0; d < half; d++) {
        const float first = widen(head[d]), second = widen(head[d + half]);
        head[d] = narrow(first * cosine[d] - second * sine[d]);
        head[d + half] = narrow(second * cosine[d] + first * sine[d]);
    }
}

static void norm_head(real *head, const real *weight, int64_t D, float eps) {
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t d = 0; d < D; d++) squares += widen(head[d]) * widen(head[d]);
    const float scale = 1.0f / sqrtf(squares / (float)D + eps);
#pragma omp simd
    for (int64_t d = 0; d < D; d++) head[d] = narrow(widen(head[d]) * scale * widen(weight[d]));
}

/* mixed (N, (H + 2K) * D) holds q, k, v. Normalises q and k where weights are given (Qwen3), rotates them in place
 * (arXiv:2104.09864) by the angles cosine, sine (N, D / 2), and stores k and v of row n at place t[n] of slot[n] in
 * keys, values (slots, K, T, D), where they are given. */
void NAME(rotate_store)(real *mixed, const float *cosine, const float *sine, const real *q_weight,
                        const real *k_weight, real *keys, real *values, const int64_t *slot, const int64_t *t,
                        int64_t N, int64_t H, int64_t K, int64_t D, int64_t T, float eps) {
#pragma omp parallel for schedule(static) if (N > 8)
    for (int64_t n = 0; n < N; n++) {
        real *row = mixed + n * (H + 2 * K) * D;
        for (int64_t h = 0; h < H + K; h++) {
            const real *weight = h < H ? q_weight : k_weight;
            if (weight) norm_head(row + h * D, weight, D, eps);
            rotate(row + h * D, cosine + n * (D / 2), sine + n * (D / 2), D / 2);
        }
        for (int64_t k = 0; keys && k < K; k++) {
            const int64_t place = ((slot[n] * K + k) * T + t[n]) * D;
            memcpy(keys + place, row + (H + k) * D, D * sizeof(real));
            memcpy(values + place, row + (H + K + k) * D, D * sizeof(real));
        }
    }
}

#define INLINE static inline __attribute__((always_inline))

#if defined(R1_BF16) && defined(__AVX512BF16__)
#include <immintrin.h>
#endif

/* LANES parts of q . key, whose sum it is. */
INLINE lanes products(const real *q, const real *key, const int D) {
#if defined(R1_BF16) && defined(__AVX512BF16__)
    if (D % 32 == 0) { /* 32 pairs at a time, summed in float32 */
        __m512 sum = _mm512_setzero_ps();
        for (int d = 0; d < D; d += 32)
            sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_loadu_si512(q + d), (__m512bh)_mm512_loadu_si512(key + d));
        return (lanes)sum;
    }
#endif
    lanes sum = load(q) * load(key);
    for (int d = LANES; d < D; d += LANES) sum += load(q + d) * load(key + d);
    return sum;
}

/* scores[r][i] = q[r] . keys[i] for R heads and `count` keys, four keys at a time so that their sums overlap. */
INLINE void score(const real *q, const real *keys, int64_t count, float *scores, int64_t stride, float scale, const int R,
                  const int D) {
    for (int64_t i = 0; i < count; i += 4) {
        for (int r = 0; r < R; r++) {
            lanes dot[4];
            float sums[4];
            for (int j = 0; j < 4; j++) dot[j] = products(q + r * D, keys + (i + j < count ? i + j : count - 1) * D, D);
            add_lanes(dot, sums);
            for (int j = 0; j < 4 && i + j < count; j++) scores[r * stride + i + j] = sums[j] * scale;
        }
    }
}

/* sum[r] += scores[r][i] * values[i]. */
INLINE void gather(lanes *sum, const real *values, int64_t count, const float *scores, int64_t stride, const int R,
                   const int D) {
    for (int64_t i = 0; i < count; i++) {
        for (int d = 0; d < D / LANES; d++) {
            const lanes part = load(values + i * D + d * LANES);
            for (int r = 0; r < R; r++) sum[r * D / LANES + d] += scores[r * stride + i] * part;
        }
    }
}

INLINE void attend_heads(const real *query, const real *pk, const real *pv, int64_t prompt, const real *sk,
                         const real *sv, int64_t own, float *scores, real *out, float scale, const int R,
                         const int D) {
    const int64_t all = prompt + own;
    lanes sum[R * D / LANES];
    memset(sum, 0, sizeof sum);
    score(query, pk, prompt, scores, all, scale, R, D);
    score(query, sk, own, scores + prompt, all, scale, R, D);
    for (int r = 0; r < R; r++) {
        const float share = 1.0f / exponentials(scores + r * all, all);
#pragma omp simd
        for (int64_t i = 0; i < all; i++) scores[r * all + i] *= share;
    }
    gather(sum, pv, prompt, scores, all, R, D);
    gather(sum, sv, own, scores + prompt, all, R, D);
    for (int i = 0; i < R * D / LANES; i++)
        for (int j = 0; j < LANES; j++) out[i * LANES + j] = narrow(sum[i][j]);
}

/* One query token for each row: to the prompt in prompt_slot[n] of (prompt slots, K, P, D), which has prompt_length of
 * that slot real tokens, and to the first t[n] + 1 tokens of its own completion in slot[n] of (slots, K, T, D).
 * D is a multiple of LANES. out (N, H * D). Returns 0, or 1 when there is no memory for the scores. */
int NAME(attend)(const real *mixed, const real *prompt_keys, const real *prompt_values, const int64_t *prompt_length,
                 const int64_t *prompt_slot, const real *keys, const real *values, const int64_t *slot,
                 const int64_t *t, real *out, int64_t N, int64_t H, int64_t K, int64_t D, int64_t P, int64_t T,
                 float scale) {
    const int64_t R = H / K;
    int failed = 0;
#pragma omp parallel if (N > 8)
    {
        float *scores = malloc(sizeof(float) * R * (P + T));
        if (!scores) {
#pragma omp atomic write
            failed = 1;
        }
#pragma omp for schedule(static)
        for (int64_t item = 0; item < N * K; item++) {
            if (!scores) continue;
            const int64_t n = item / K, k = item % K, prompt = prompt_length[prompt_slot[n]], own = t[n] + 1;
            const int64_t shared = (prompt_slot[n] * K + k) * P * D, place = (slot[n] * K + k) * T * D;
            const real *q = mixed + n * (H + 2 * K) * D + k * R * D;
            const real *pk = prompt_keys + shared, *pv = prompt_values + shared;
            const real *sk = keys + place, *sv = values + place;
            real *to = out + n * H * D + k * R * D;
#define CASE(r, d) \
    if (R == r && D == d) attend_heads(q, pk, pv, prompt, sk, sv, own, scores, to, scale, r, d); else
            CASE(1, 64) CASE(2, 64) CASE(3, 64) CASE(4, 64) CASE(7, 64) CASE(8, 64)
            CASE(1, 128) CASE(2, 128) CASE(4, 128) CASE(5, 128) CASE(6, 128) CASE(7, 128) CASE(8, 128)
            attend_heads(q, pk, pv, prompt, sk, sv, own, scores, to, scale, (int)R, (int)D);
#undef CASE
        }
        free(scores);
    }
    return failed;
}

/* gate_up (N, 2F) holds gate, then up; out (N, F) = silu(gate) * up (arXiv:2002.05202, eq. 6). */
void NAME(gate)(const real *gate_up, real *out, int64_t N, int64_t F) {
#pragma omp parallel for schedule(static) if (N > 8)
    for (int64_t n = 0; n < N; n++) {
        const real *row = gate_up + n * 2 * F;
        real *to = out + n * F;
#pragma omp simd
        for (int64_t f = 0; f < F; f++) {
            const float g = widen(row[f]);
            to[f] = narrow(g / (1.0f + exponential(-g)) * widen(row[f + F]));
        }
    }
}

/* For each block of S logits (N, V): the largest, and the sum of exp((logit - largest) * scale). The last block of a row
 * may be shorter. maxima, sums (N, ceil(V / S)). */
void NAME(block_sums)(const real *logits, float *maxima, float *sums, int64_t N, int64_t V, int64_t S, float scale) {
    const int64_t blocks = (V + S - 1) / S;
#pragma omp parallel for schedule(static) if (N > 8)
    for (int64_t n = 0; n < N; n++) {
        for (int64_t b = 0; b < blocks; b++) {
            const real *block = logits + n * V + b * S;
            const int64_t size = V - b * S < S ? V - b * S : S;
            float largest = widen(block[0]), sum = 0;
#pragma omp simd reduction(max : largest)
            for (int64_t i = 0; i < size; i++) {
                const float value = widen(block[i]);
                largest = value > largest ? value : largest;
            }
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < size; i++) sum += exponential((widen(block[i]) - largest) * scale);
            maxima[n * blocks + b] = largest;
            sums[n * blocks + b] = sum;
        }
    }
}
