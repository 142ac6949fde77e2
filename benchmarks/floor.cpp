// One update of MP-DQN with inverting gradients on Platform, by hand: what this processor could do.
//
// Both networks' gradients, clipping, Adam and target networks, as `pamdp.learning.learner` has them with
// the settings of params.yaml. A vector holds 16 samples of the minibatch; GCC makes of it what the
// processor has. Weights lie flat: kernel of the first layer [I, H], bias [H], of the last [O, H], [O].
#include <algorithm>
#include <cmath>
#include <cstdint>

typedef float V __attribute__((vector_size(64), aligned(64)));
typedef int32_t I __attribute__((vector_size(64), aligned(64)));

constexpr int S = 9, K = 3, H = 128, B = 128, W = 16, G = B / W;
constexpr int ROW = 2 * S + K + 3;  // s, x, action, reward, continues, s'
constexpr int NQ = (S + K) * H + H + K * H + K, NX = S * H + H + K * H + K;
constexpr float GAMMA = 0.9f, CLIP = 10, RATE_Q = 1e-3f, RATE_X = 1e-4f, TAU_Q = 0.1f, TAU_X = 0.001f;

// Each is [5, N]: weights, target's weights, first and second moments, gradient.
struct Net { float *weights, *target, *first, *second, *gradient; };
static Net net(float* data, int n) { return {data, data + n, data + 2 * n, data + 3 * n, data + 4 * n}; }

// The minibatch, and what the parts of an update leave to each other; samples come last.
static V s[S][G], next_s[S][G], x[K][G], reward[G], goes_on[G], y[G], base[H][G], hidden_q[H][G], hidden_x[H][G];
static V error[G], ascent[K][G];
static I action[G];

static V relu(V z) { return z > 0 ? z : V{}; }
static V only(I condition, V value) { return condition ? value : V{}; }
static V all(float value) { return V{} + value; }
static float sum(V v) { float total = 0; for (int i = 0; i < W; i++) total += v[i]; return total; }

// The sums of 16 vectors, as one.
static V sums(const V* a) {
  V b[8], c[4], d[2];
  for (int i = 0; i < 8; i++) {
    V l = a[2 * i], h = a[2 * i + 1];
    b[i] = __builtin_shufflevector(l, h, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
           __builtin_shufflevector(l, h, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  }
  for (int i = 0; i < 4; i++) {
    V l = b[2 * i], h = b[2 * i + 1];
    c[i] = __builtin_shufflevector(l, h, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           __builtin_shufflevector(l, h, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  }
  for (int i = 0; i < 2; i++) {
    V l = c[2 * i], h = c[2 * i + 1];
    d[i] = __builtin_shufflevector(l, h, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           __builtin_shufflevector(l, h, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  }
  return __builtin_shufflevector(d[0], d[1], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
         __builtin_shufflevector(d[0], d[1], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

static void gather(const float* rows, const int32_t* index) {
  for (int b = 0; b < B; b++) {
    const float* row = rows + index[b] * ROW;
    int g = b / W, i = b % W;
    for (int j = 0; j < S; j++) s[j][g][i] = row[j], next_s[j][g][i] = row[S + K + 3 + j];
    for (int k = 0; k < K; k++) x[k][g][i] = row[S + k];
    action[g][i] = int32_t(row[S + K]), reward[g][i] = row[S + K + 1], goes_on[g][i] = row[S + K + 2];
  }
}

// The first layer's unit h at features f, before its activation.
static V unit(const float* kernel, int h, const V (*f)[G], int g) {
  V z = all(kernel[S * H + h]);
  for (int i = 0; i < S; i++) z += kernel[i * H + h] * f[i][g];
  return z;
}

static V unit_q(const float* kernel, int h, const V (*f)[G], int g) {  // the parameters left out
  V z = all(kernel[(S + K) * H + h]);
  for (int i = 0; i < S; i++) z += kernel[i * H + h] * f[i][g];
  return z;
}

static void targets(const Net& q, const Net& policy) {
  const float *out_x = policy.target + S * H + H, *w = q.target, *out = w + (S + K) * H + H;
  for (int g = 0; g < G; g++) {
    V own[K], value[K];
    for (int k = 0; k < K; k++) own[k] = all(out_x[K * H + k]), value[k] = all(out[K * H + k]);
    for (int h = 0; h < H; h++) {
      V z = relu(unit(policy.target, h, next_s, g));
      for (int k = 0; k < K; k++) own[k] += out_x[k * H + h] * z;
    }
    for (int h = 0; h < H; h++) {
      V z = unit_q(w, h, next_s, g);
      for (int k = 0; k < K; k++) value[k] += out[k * H + h] * relu(z + w[(S + k) * H + h] * own[k]);
    }
    V best = value[0];
    for (int k = 1; k < K; k++) best = value[k] > best ? value[k] : best;
    y[g] = reward[g] + GAMMA * goes_on[g] * best;
  }
}

static void critic(const Net& q) {
  const float *w = q.weights, *out = w + (S + K) * H + H;
  I taken[K][G];
  V own[K][G];
  for (int k = 0; k < K; k++)
    for (int g = 0; g < G; g++) taken[k][g] = action[g] == k, own[k][g] = only(taken[k][g], x[k][g]);
  for (int g = 0; g < G; g++) {
    V value = V{};
    for (int k = 0; k < K; k++) value += only(taken[k][g], all(out[K * H + k]));
    for (int h = 0; h < H; h++) {
      V z = base[h][g] = unit_q(w, h, s, g), last = V{};
      for (int k = 0; k < K; k++) {
        z += w[(S + k) * H + h] * own[k][g];
        last = taken[k][g] ? all(out[k * H + h]) : last;
      }
      hidden_q[h][g] = relu(z);
      value += last * hidden_q[h][g];
    }
    V td = y[g] - value;
    td = td > 1 ? all(1) : td;
    error[g] = (td < -1 ? all(-1) : td) * (-1.0f / B);
  }
  float *kernel = q.gradient, *bias = kernel + (S + K) * H, *kernel_out = bias + H, *bias_out = kernel_out + K * H;
  for (int k = 0; k < K; k++) {
    V total = V{};
    for (int g = 0; g < G; g++) total += only(taken[k][g], error[g]);
    bias_out[k] = sum(total);
  }
  for (int h = 0; h < H; h++) {
    V t[16] = {};
    for (int g = 0; g < G; g++) {
      V last = V{};
      for (int k = 0; k < K; k++) last = taken[k][g] ? all(out[k * H + h]) : last;
      V d = only(hidden_q[h][g] > 0, error[g] * last), e = error[g] * hidden_q[h][g];
      for (int i = 0; i < S; i++) t[i] += d * s[i][g];
      for (int k = 0; k < K; k++) t[S + k] += d * own[k][g], t[S + K + 1 + k] += only(taken[k][g], e);
      t[S + K] += d;
    }
    V total = sums(t);
    for (int i = 0; i < S + K; i++) kernel[i * H + h] = total[i];
    bias[h] = total[S + K];
    for (int k = 0; k < K; k++) kernel_out[k * H + h] = total[S + K + 1 + k];
  }
}

static void parameters(const Net& q, const Net& policy) {
  const float *out_x = policy.weights + S * H + H, *w = q.weights, *out = w + (S + K) * H + H;
  for (int g = 0; g < G; g++) {
    V own[K], slope[K] = {};
    for (int k = 0; k < K; k++) own[k] = all(out_x[K * H + k]);
    for (int h = 0; h < H; h++) {
      V z = hidden_x[h][g] = relu(unit(policy.weights, h, s, g));
      for (int k = 0; k < K; k++) own[k] += out_x[k * H + h] * z;
    }
    for (int h = 0; h < H; h++)
      for (int k = 0; k < K; k++) {
        float weight = w[(S + k) * H + h];
        slope[k] += only(base[h][g] + weight * own[k] > 0, all(weight * out[k * H + h]));
      }
    for (int k = 0; k < K; k++) {  // inverting gradients, then downwards
      V up = slope[k] * (1.0f / B);
      ascent[k][g] = up * (up > 0 ? 1 - own[k] : own[k] + 1) * -0.5f;
    }
  }
  float *kernel = policy.gradient, *bias = kernel + S * H, *kernel_out = bias + H, *bias_out = kernel_out + K * H;
  for (int k = 0; k < K; k++) {
    V total = V{};
    for (int g = 0; g < G; g++) total += ascent[k][g];
    bias_out[k] = sum(total);
  }
  for (int h = 0; h < H; h++) {
    V t[16] = {};
    for (int g = 0; g < G; g++) {
      V z = hidden_x[h][g], d = V{};
      for (int k = 0; k < K; k++) d += ascent[k][g] * out_x[k * H + h], t[S + 1 + k] += ascent[k][g] * z;
      d = only(z > 0, d);
      for (int i = 0; i < S; i++) t[i] += d * s[i][g];
      t[S] += d;
    }
    V total = sums(t);
    for (int i = 0; i < S; i++) kernel[i * H + h] = total[i];
    bias[h] = total[S];
    for (int k = 0; k < K; k++) kernel_out[k * H + h] = total[S + 1 + k];
  }
}

static void descend(const Net& net, int n, float rate, float tau, int count) {
  float *__restrict w = net.weights, *__restrict t = net.target, *__restrict m = net.first;
  float *__restrict v = net.second, *__restrict g = net.gradient;
  float square = 0;
  for (int i = 0; i < n; i++) square += g[i] * g[i];
  float scale = CLIP / std::max(std::sqrt(square), CLIP);
  float step = rate * std::sqrt(1 - std::pow(0.999f, count)) / (1 - std::pow(0.9f, count));
  for (int i = 0; i < n; i++) {
    float clipped = scale * g[i];
    m[i] = 0.9f * m[i] + 0.1f * clipped;
    v[i] = 0.999f * v[i] + 0.001f * clipped * clipped;
    w[i] -= step * m[i] / (std::sqrt(v[i]) + 1e-8f);
    t[i] += tau * (w[i] - t[i]);
  }
}

// One update from the given samples; q [5, NQ] and x [5, NX] as `Net` has them, after `count - 1` others.
extern "C" void update(float* q_data, float* x_data, const float* rows, const int32_t* index, int32_t count) {
  Net q = net(q_data, NQ), policy = net(x_data, NX);
  gather(rows, index);
  targets(q, policy);
  critic(q);
  parameters(q, policy);
  descend(q, NQ, RATE_Q, TAU_Q, count);
  descend(policy, NX, RATE_X, TAU_X, count);
}

// Many updates, each from samples drawn out of `filled` rows.
extern "C" void updates(float* q, float* x, const float* rows, int32_t filled, int32_t number) {
  uint64_t state = 88172645463325252ull;  // xorshift
  int32_t index[B];
  for (int32_t count = 1; count <= number; count++) {
    for (int32_t& row : index) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      row = int32_t(((state >> 32) * uint64_t(filled)) >> 32);
    }
    update(q, x, rows, index, count);
  }
}
