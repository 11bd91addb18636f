// AssemblyScript: the four loops in which a step spends its time, with 128-bit vectors. All arrays are row-major float32, given by address.

/** C (m×n, rows ldc apart) = A (m×k, contiguous) · B (k×n, rows ldb apart), plus bias[row] where bias is not 0. */
export function gemm(a: usize, b: usize, c: usize, bias: usize, m: i32, k: i32, n: i32, ldb: i32, ldc: i32): void {
  const sa = (<usize>k) << 2, sb = (<usize>ldb) << 2, sc = (<usize>ldc) << 2;
  const wide = n & ~7;
  for (let i: i32 = 0; i < m; i += 4) {
    const rows = min(4, m - i);
    // Rows beyond the last one repeat it: they are computed and not kept.
    const a0 = a + <usize>i * sa;
    const a1 = a + <usize>min(i + 1, m - 1) * sa, a2 = a + <usize>min(i + 2, m - 1) * sa, a3 = a + <usize>min(i + 3, m - 1) * sa;
    let f0: f32 = 0, f1: f32 = 0, f2: f32 = 0, f3: f32 = 0;
    if (bias) {
      f0 = load<f32>(bias + (<usize>i << 2));
      f1 = load<f32>(bias + (<usize>min(i + 1, m - 1) << 2));
      f2 = load<f32>(bias + (<usize>min(i + 2, m - 1) << 2));
      f3 = load<f32>(bias + (<usize>min(i + 3, m - 1) << 2));
    }
    const c0 = c + <usize>i * sc, c1 = c0 + sc, c2 = c1 + sc, c3 = c2 + sc;
    for (let j: i32 = 0; j < wide; j += 8) {
      let p = b + (<usize>j << 2);
      let x0 = f32x4.splat(f0), y0 = x0, x1 = f32x4.splat(f1), y1 = x1, x2 = f32x4.splat(f2), y2 = x2, x3 = f32x4.splat(f3), y3 = x3;
      for (let t: usize = 0; t < sa; t += 4) {
        const u = v128.load(p), v = v128.load(p, 16);
        const s0 = v128.load32_splat(a0 + t), s1 = v128.load32_splat(a1 + t);
        const s2 = v128.load32_splat(a2 + t), s3 = v128.load32_splat(a3 + t);
        x0 = f32x4.add(x0, f32x4.mul(s0, u)); y0 = f32x4.add(y0, f32x4.mul(s0, v));
        x1 = f32x4.add(x1, f32x4.mul(s1, u)); y1 = f32x4.add(y1, f32x4.mul(s1, v));
        x2 = f32x4.add(x2, f32x4.mul(s2, u)); y2 = f32x4.add(y2, f32x4.mul(s2, v));
        x3 = f32x4.add(x3, f32x4.mul(s3, u)); y3 = f32x4.add(y3, f32x4.mul(s3, v));
        p += sb;
      }
      const q = <usize>j << 2;
      v128.store(c0 + q, x0); v128.store(c0 + q, y0, 16);
      if (rows > 1) { v128.store(c1 + q, x1); v128.store(c1 + q, y1, 16); }
      if (rows > 2) { v128.store(c2 + q, x2); v128.store(c2 + q, y2, 16); }
      if (rows > 3) { v128.store(c3 + q, x3); v128.store(c3 + q, y3, 16); }
    }
    for (let j = wide; j < n; j++) {
      let p = b + (<usize>j << 2);
      let z0 = f0, z1 = f1, z2 = f2, z3 = f3;
      for (let t: usize = 0; t < sa; t += 4) {
        const u = load<f32>(p);
        z0 += load<f32>(a0 + t) * u; z1 += load<f32>(a1 + t) * u; z2 += load<f32>(a2 + t) * u; z3 += load<f32>(a3 + t) * u;
        p += sb;
      }
      const q = <usize>j << 2;
      store<f32>(c0 + q, z0);
      if (rows > 1) store<f32>(c1 + q, z1);
      if (rows > 2) store<f32>(c2 + q, z2);
      if (rows > 3) store<f32>(c3 + q, z3);
    }
  }
}

/** y (n) = W (n×k) · x (k) + b, b where it is not 0. */
export function gemv(w: usize, x: usize, b: usize, y: usize, n: i32, k: i32): void {
  const wide = k & ~3;
  for (let i: i32 = 0; i < n; i++) {
    const row = w + ((<usize>i * <usize>k) << 2);
    let s = f32x4.splat(0);
    for (let j: i32 = 0; j < wide; j += 4) {
      const q = <usize>j << 2;
      s = f32x4.add(s, f32x4.mul(v128.load(row + q), v128.load(x + q)));
    }
    let sum = f32x4.extract_lane(s, 0) + f32x4.extract_lane(s, 1) + (f32x4.extract_lane(s, 2) + f32x4.extract_lane(s, 3));
    for (let j = wide; j < k; j++) sum += load<f32>(row + (<usize>j << 2)) * load<f32>(x + (<usize>j << 2));
    store<f32>(y + (<usize>i << 2), b ? sum + load<f32>(b + (<usize>i << 2)) : sum);
  }
}

/** Columns first … first + count − 1 of the patches of an image (c, h, w): (c·kh·kw × count). */
export function im2col(
  x: usize, to: usize, c: i32, h: i32, w: i32, kh: i32, kw: i32, sh: i32, sw: i32, ph: i32, pw: i32, dh: i32, dw: i32,
  ow: i32, first: i32, count: i32,
): void {
  let p = to;
  for (let ch: i32 = 0; ch < c; ch++) {
    const plane = x + ((<usize>ch * <usize>(h * w)) << 2);
    for (let u: i32 = 0; u < kh; u++) {
      for (let v: i32 = 0; v < kw; v++) {
        let oy = first / ow, ox = first % ow;
        for (let i: i32 = 0; i < count; i++) {
          const iy = oy * sh - ph + u * dh, ix = ox * sw - pw + v * dw;
          store<f32>(p, iy >= 0 && iy < h && ix >= 0 && ix < w ? load<f32>(plane + (<usize>(iy * w + ix) << 2)) : 0);
          p += 4;
          if (++ox == ow) { ox = 0; oy++; }
        }
      }
    }
  }
}

/** Adds patches (c·kh·kw × h·w) into an image (c, oh, ow): the transpose of im2col. */
export function col2im(
  from: usize, y: usize, c: i32, h: i32, w: i32, kh: i32, kw: i32, sh: i32, sw: i32, ph: i32, pw: i32, dh: i32, dw: i32, oh: i32, ow: i32,
): void {
  let p = from;
  for (let ch: i32 = 0; ch < c; ch++) {
    const plane = y + ((<usize>ch * <usize>(oh * ow)) << 2);
    for (let u: i32 = 0; u < kh; u++) {
      for (let v: i32 = 0; v < kw; v++) {
        for (let iy: i32 = 0; iy < h; iy++) {
          const ty = iy * sh - ph + u * dh;
          const inside = ty >= 0 && ty < oh;
          for (let ix: i32 = 0; ix < w; ix++) {
            const tx = ix * sw - pw + v * dw;
            if (inside && tx >= 0 && tx < ow) {
              const q = plane + (<usize>(ty * ow + tx) << 2);
              store<f32>(q, load<f32>(q) + load<f32>(p));
            }
            p += 4;
          }
        }
      }
    }
  }
}
