/** Pictures as the model takes them, (c, h, w) in its own range: drawn, dropped, of noise, or blended. */
export interface Picture {
  readonly name: string;
  readonly x: Float32Array;
}

/** RGBA bytes of a canvas of the model's size, as numbers of the model; one channel is the luma (Rec. 601) of three. */
export function fromPixels(data: Uint8ClampedArray, channels: number, [low, high]: readonly [number, number]): Float32Array {
  const n = data.length / 4;
  const made = new Float32Array(channels * n);
  for (let i = 0; i < n; i++)
    for (let c = 0; c < channels; c++) {
      const value = channels === 1 ? 0.299 * data[4 * i]! + 0.587 * data[4 * i + 1]! + 0.114 * data[4 * i + 2]! : data[4 * i + Math.min(c, 2)]!;
      made[c * n + i] = low + ((high - low) * value) / 255;
    }
  return made;
}

/** Bytes (h, w, c) of a stored picture, as numbers of the model. */
export function fromBytes(data: ArrayLike<number>, channels: number, [low, high]: readonly [number, number]): Float32Array {
  const n = data.length / channels;
  return Float32Array.from({ length: data.length }, (_, at) => low + ((high - low) * data[(at % n) * channels + Math.floor(at / n)]!) / 255);
}

/** Every number uniform over the range; the same seed gives the same picture (Mulberry32). */
export function noise(seed: number, size: number, [low, high]: readonly [number, number]): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: size }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return low + ((high - low) * ((t ^ (t >>> 14)) >>> 0)) / 4294967296;
  });
}

export function blended(a: Float32Array, b: Float32Array, share: number): Float32Array {
  return a.map((value, i) => (1 - share) * value + share * b[i]!);
}
