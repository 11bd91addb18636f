/** The field between its exactly computed nodes, for what moves for the eye alone: particles and streamlines. Orbits never use it. */
export type Extent = readonly [left: number, right: number, bottom: number, top: number];

export class Flow {
  u = 0;
  v = 0;

  constructor(
    /** (side², 2), rows along the second axis. */
    readonly velocity: Float32Array,
    readonly side: number,
    readonly extent: Extent,
  ) {}

  inside(x: number, y: number): boolean {
    const [left, right, bottom, top] = this.extent;
    return x >= left && x <= right && y >= bottom && y <= top;
  }

  /** Bilinear between the four nodes around a point; undefined outside. */
  at(x: number, y: number): [number, number] | undefined {
    return this.sample(x, y) ? [this.u, this.v] : undefined;
  }

  /** The same in `u` and `v`, for those who ask a thousand times per frame; false outside. */
  sample(x: number, y: number): boolean {
    const { velocity, side } = this;
    const n = side - 1;
    const [left, right, bottom, top] = this.extent;
    if (!(x >= left && x <= right && y >= bottom && y <= top)) return false;
    let a = ((x - left) / (right - left)) * n;
    let b = ((y - bottom) / (top - bottom)) * n;
    const i = Math.min(Math.floor(a), n - 1);
    const j = Math.min(Math.floor(b), n - 1);
    a -= i;
    b -= j;
    const low = 2 * (j * side + i);
    const high = low + 2 * side;
    this.u = (1 - b) * ((1 - a) * velocity[low]! + a * velocity[low + 2]!) + b * ((1 - a) * velocity[high]! + a * velocity[high + 2]!);
    this.v = (1 - b) * ((1 - a) * velocity[low + 1]! + a * velocity[low + 3]!) + b * ((1 - a) * velocity[high + 1]! + a * velocity[high + 3]!);
    return true;
  }

  /** Lines along the field that keep apart: each cell of a mask is crossed by one. */
  streamlines(cells = 26): [number, number][][] {
    const [left, right, bottom, top] = this.extent;
    const taken = new Uint8Array(cells * cells);
    const cell = (x: number, y: number) =>
      Math.min(cells - 1, Math.floor(((y - bottom) / (top - bottom)) * cells)) * cells + Math.min(cells - 1, Math.floor(((x - left) / (right - left)) * cells));
    const step = Math.min(right - left, top - bottom) / cells / 6;
    const lines: [number, number][][] = [];
    for (let n = 0; n < cells * cells; n++) {
      // Every cell once, in an order that jumps about.
      const place = (n * 389) % (cells * cells);
      if (taken[place]) continue;
      const seed: [number, number] = [left + (((place % cells) + 0.5) / cells) * (right - left), bottom + ((Math.floor(place / cells) + 0.5) / cells) * (top - bottom)];
      const own = new Set<number>();
      const half = (sign: number) => {
        const points: [number, number][] = [];
        let [x, y] = seed;
        for (let i = 0; i < 60 * cells; i++) {
          const v = this.at(x, y);
          const length = v && Math.hypot(...v);
          if (!v || !length) break;
          const mid = this.at(x + ((sign * step) / 2 / length) * v[0], y + ((sign * step) / 2 / length) * v[1]);
          const size = mid && Math.hypot(...mid);
          if (!mid || !size) break;
          const [nx, ny] = [x + ((sign * step) / size) * mid[0], y + ((sign * step) / size) * mid[1]];
          if (!this.inside(nx, ny)) break;
          const at = cell(nx, ny);
          if (taken[at] && !own.has(at)) break;
          if (points.length > 12 && Math.hypot(nx - points[points.length - 12]![0], ny - points[points.length - 12]![1]) < step) break;
          own.add(at);
          points.push([nx, ny]);
          [x, y] = [nx, ny];
        }
        return points;
      };
      own.add(place);
      const line = [...half(-1).reverse(), seed, ...half(1)];
      for (const at of own) taken[at] = 1;
      if (line.length > 10) lines.push(line);
    }
    return lines;
  }
}

/** Points that drift with the field and begin anew where they leave or stand still. */
export class Particles {
  readonly xy: Float32Array;
  private readonly age: Float32Array;

  constructor(
    private readonly flow: Flow,
    readonly count: number,
    private readonly random: () => number = Math.random,
  ) {
    this.xy = new Float32Array(2 * count);
    this.age = new Float32Array(count);
    for (let i = 0; i < count; i++) this.renew(i);
  }

  /** One frame: each goes along v for a time, in the plane; true in `jumped` where it began anew. */
  drift(time: number, still: number, jumped: Uint8Array): void {
    for (let i = 0; i < this.count; i++) {
      const known = this.flow.sample(this.xy[2 * i]!, this.xy[2 * i + 1]!);
      const { u, v } = this.flow;
      this.age[i]! -= 1;
      jumped[i] = 0;
      if (!known || this.age[i]! < 0 || u * u + v * v < still * still) {
        this.renew(i);
        jumped[i] = 1;
      } else {
        this.xy[2 * i]! += time * u;
        this.xy[2 * i + 1]! += time * v;
      }
    }
  }

  private renew(i: number): void {
    const [left, right, bottom, top] = this.flow.extent;
    this.xy[2 * i] = left + this.random() * (right - left);
    this.xy[2 * i + 1] = bottom + this.random() * (top - bottom);
    this.age[i] = 60 + this.random() * 120;
  }
}
