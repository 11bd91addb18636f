/** The limit sets on the plane: discs attract, squares do not. Few have letters; many, and the further points of each, are dots. */
import { readableOn } from "../core/colours";
import type { Plane } from "../core/plane";
import type { Scene } from "../core/scene";

const LETTERED = 40; // sets; more are dots
const [DOT, TRACE] = [2.5, 1.7]; // radii

export interface Mark {
  readonly set: number;
  readonly x: number;
  readonly y: number;
  /** The first of its set has the letter. */
  readonly first: boolean;
  readonly round: boolean;
}

type ToPixel = (x: number, y: number) => [number, number];

export class Marks {
  private all: Mark[] = [];
  private dots: { size: string; paths: Map<string, Path2D> } | undefined;

  constructor(private readonly scene: Scene) {}

  /** Project all known points of all sets onto a plane. */
  place(plane: Plane): void {
    this.all = this.scene.about.sets.flatMap((row, set) =>
      this.scene.trace(set).map((z, i) => {
        const [x, y] = plane.coordinates(z);
        return { set, x, y, first: i === 0, round: row.stable === 1 || i > 0 };
      }),
    );
    this.recolour();
  }

  recolour(): void {
    this.dots = undefined;
  }

  get few(): boolean {
    return this.scene.about.sets.length <= LETTERED;
  }

  get list(): readonly Mark[] {
    return this.all;
  }

  /** The set of a mark that a place touches; −1 for none. */
  within(radius: number, [px, py]: readonly [number, number], toPixel: ToPixel): number {
    const found = this.all.find((mark) => {
      const [x, y] = toPixel(mark.x, mark.y);
      return Math.hypot(x - px, y - py) < radius;
    });
    return found ? found.set : -1;
  }

  /** One mark per set that is large; the dots lie below the orbit, and are drawn before it. */
  draw(to: CanvasRenderingContext2D, unit: number, chosen: number, toPixel: ToPixel, hue: (set: number) => string): void {
    to.strokeStyle = "#ffffff";
    for (const mark of this.all) {
      if (!mark.first || !(this.few || mark.set === chosen)) continue;
      const [x, y] = toPixel(mark.x, mark.y);
      const path = new Path2D();
      shape(path, mark, x, y, unit * (mark.set === chosen ? 12 : 9.5));
      to.fillStyle = hue(mark.set);
      to.lineWidth = unit * (mark.set === chosen ? 3 : 1.5);
      to.fill(path);
      to.stroke(path);
      if (!this.few) continue;
      to.fillStyle = readableOn(hue(mark.set));
      to.font = `700 ${11 * unit}px system-ui, sans-serif`;
      to.textAlign = "center";
      to.textBaseline = "middle";
      to.fillText(this.scene.about.sets[mark.set]!.name, x, y + 0.5 * unit);
    }
  }

  /** All dots of one colour are one path, which is kept while nothing but the orbit changes. White around them would hide a closed curve. */
  drawDots(to: CanvasRenderingContext2D, unit: number, toPixel: ToPixel, hue: (set: number) => string): void {
    const size = `${to.canvas.width}×${to.canvas.height}`;
    if (this.dots?.size !== size) {
      const paths = new Map<string, Path2D>();
      for (const mark of this.all) {
        if (mark.first && this.few) continue;
        const colour = hue(mark.set);
        const path = paths.get(colour) ?? new Path2D();
        paths.set(colour, path);
        shape(path, mark, ...toPixel(mark.x, mark.y), (mark.first ? DOT : TRACE) * unit);
      }
      this.dots = { size, paths };
    }
    to.strokeStyle = "#ffffff";
    to.lineWidth = 1.5 * unit;
    for (const [colour, path] of this.dots.paths) {
      to.fillStyle = colour;
      if (!this.few) to.stroke(path);
      to.fill(path);
    }
  }
}

function shape(path: Path2D, { round }: Mark, x: number, y: number, radius: number): void {
  if (round) {
    path.moveTo(x + radius, y);
    path.arc(x, y, radius, 0, 2 * Math.PI);
  } else path.rect(x - radius * 0.85, y - radius * 0.85, radius * 1.7, radius * 1.7);
}
