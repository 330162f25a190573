/* The number format of activations: bfloat16 when R1_BF16 is defined, else float32; and exp, which vectorises. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef union {
    float value;
    uint32_t bits;
} word;

#ifdef R1_BF16
typedef uint16_t real;
#define NAME(name) r1_##name##_bf16

static inline float widen(real x) {
    const word w = {.bits = (uint32_t)x << 16};
    return w.value;
}

/* To nearest, ties to even, as PyTorch does. NaN is not treated apart: its payload keeps it a NaN but for one pattern
 * that no arithmetic here makes. */
static inline real narrow(float x) {
    const word w = {.value = x};
    return (real)((w.bits + 0x7fff + ((w.bits >> 16) & 1)) >> 16);
}
#else
typedef float real;
#define NAME(name) r1_##name##_fp32

static inline float widen(real x) { return x; }
static inline real narrow(float x) { return x; }
#endif

/* Sixteen floats that the compiler keeps in as many registers as the processor needs for them. */
#define LANES 16
typedef float lanes __attribute__((vector_size(4 * LANES)));

#ifdef R1_BF16
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));

static inline lanes load(const real *from) {
    halves some;
    memcpy(&some, from, sizeof some);
    return (lanes)(__builtin_convertvector(some, words) << 16);
}
#else
static inline lanes load(const real *from) {
    lanes some;
    memcpy(&some, from, sizeof some);
    return some;
}
#endif

#define LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define HIGH(a, b) __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
#define QUARTERS(a, b, at) \
    __builtin_shufflevector(a, b, at, at + 1, at + 2, at + 3, at + 8, at + 9, at + 10, at + 11, at + 16, at + 17, \
                            at + 18, at + 19, at + 24, at + 25, at + 26, at + 27)

/* sums[j] = the sum of parts[j]'s lanes: halves of two vectors are folded into one until four sums share a vector. */
static inline void add_lanes(const lanes parts[4], float sums[4]) {
    const lanes first = LOW(parts[0], parts[1]) + HIGH(parts[0], parts[1]);
    const lanes second = LOW(parts[2], parts[3]) + HIGH(parts[2], parts[3]);
    const lanes all = QUARTERS(first, second, 0) + QUARTERS(first, second, 4);
    const lanes pairs = all + __builtin_shufflevector(all, all, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    const lanes whole = pairs + __builtin_shufflevector(pairs, pairs, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    for (int j = 0; j < 4; j++) sums[j] = whole[4 * j];
}

/* e^x to 2 ulp in [-87, 88], clamped outside: 2^k * p(r), r = x - k ln 2, minimax polynomial of degree 6 (Cephes expf,
 * S. Moshier). */
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float k = rintf(x * 1.44269504088896341f);
    float r = x - k * 0.693359375f;
    r = r + k * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const word power = {.bits = (uint32_t)((int32_t)k + 127) << 23};
    return p * power.value;
}

/* scores become exp(scores - largest); returns their sum. */
static inline float exponentials(float *scores, int64_t count) {
    float largest = scores[0], total = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < count; i++) largest = scores[i] > largest ? scores[i] : largest;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < count; i++) {
        scores[i] = exponential(scores[i] - largest);
        total += scores[i];
    }
    return total;
}
