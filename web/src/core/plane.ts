/** The plane origin + x·axes[0] + y·axes[1] of the latent space; axes are orthonormal. */
export class Plane {
  constructor(
    readonly origin: Float32Array,
    readonly axes: Float32Array,
    readonly k: number,
  ) {}

  lift(x: number, y: number): Float32Array {
    return this.origin.map((value, i) => value + x * this.axes[i]! + y * this.axes[this.k + i]!);
  }

  /** Coordinates of a latent that is projected onto the plane. */
  coordinates(z: Float32Array): [number, number] {
    let [x, y] = [0, 0];
    for (let i = 0; i < this.k; i++) {
      const away = z[i]! - this.origin[i]!;
      x += away * this.axes[i]!;
      y += away * this.axes[this.k + i]!;
    }
    return [x, y];
  }

  /** How far from the plane a latent is, as a share of its distance from the origin. */
  away(z: Float32Array): number {
    const [x, y] = this.coordinates(z);
    let total = 0;
    for (let i = 0; i < this.k; i++) total += (z[i]! - this.origin[i]!) ** 2;
    return total > 0 ? Math.sqrt(Math.max(0, 1 - (x * x + y * y) / total)) : 0;
  }
}

export function distance(a: Float32Array, b: Float32Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(total);
}
