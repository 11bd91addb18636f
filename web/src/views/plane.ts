/** The plane: speed or basins as cells, streamlines, drifting particles, limit sets, the orbit, and where the pointer is. */
import { mix, parse, speedColour } from "../core/colours";
import type { Drawn } from "../core/drawing";
import { type Flow, Particles } from "../core/flow";
import type { Orbit } from "../core/orbit";
import type { Scene } from "../core/scene";
import type { Grid, Sheet } from "../core/sheet";
import { element } from "./dom";
import { Marks } from "./marks";

export type Layer = "speed" | "basins" | "out";

export interface Look {
  layer: Layer;
  streamlines: boolean;
  particles: boolean;
}

const PARTICLES = 1400;
const PACE = 1.8; // times the field, per second
const PALEST = 0.55; // how far towards the paper the fastest starts are shaded, as in separatrix.plots
const LINKS = 4000; // steps of an orbit that are drawn

export class PlaneView {
  readonly canvas: HTMLCanvasElement;
  private readonly base: HTMLCanvasElement;
  private readonly moving: HTMLCanvasElement;
  private readonly jumped = new Uint8Array(PARTICLES);
  private readonly before = new Float32Array(2 * PARTICLES);
  private flow: Flow | undefined;
  private particles: Particles | undefined;
  private lines: [number, number][][] | undefined;
  private readonly marks: Marks;
  private cells: ImageData | undefined;
  private fast = 1;
  sheet!: Sheet;
  look: Look = { layer: "speed", streamlines: true, particles: true };
  cursor: [number, number] | undefined;
  orbit: Orbit | undefined;
  at = 0;
  chosen = -1;
  private inView = true;
  /** Per set, the first of those with which it counts as one; undefined: each is its own. */
  joined: Int32Array | undefined;

  constructor(
    private readonly scene: Scene,
    sheet: Sheet,
    /** What the names of its three canvases begin with. */
    prefix = "",
  ) {
    [this.base, this.moving, this.canvas] = ["base", "moving", "top"].map((layer) => element<HTMLCanvasElement>(`${prefix}plane-${layer}`)) as [HTMLCanvasElement, HTMLCanvasElement, HTMLCanvasElement];
    this.marks = new Marks(scene);
    this.show(sheet);
    new IntersectionObserver(([now]) => (this.inView = now!.isIntersecting)).observe(this.canvas);
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  /** Show another plane. */
  show(sheet: Sheet): void {
    this.sheet = sheet;
    this.marks.place(sheet.plane);
    [this.lines, this.cursor] = [undefined, undefined];
    this.renew();
  }

  /** More nodes are known. */
  renew(): void {
    this.cells = undefined;
    this.fast = this.sheet.fast;
    const flow = this.sheet.flow();
    if (flow?.side === this.flow?.side && flow?.extent === this.flow?.extent) return;
    this.flow = flow;
    this.particles = flow && new Particles(flow, PARTICLES);
    this.lines = undefined;
  }

  /** From CSS pixels in the canvas to the plane. */
  toPlane(px: number, py: number): [number, number] {
    const [left, right, bottom, top] = this.sheet.extent;
    return [left + (px / this.canvas.clientWidth) * (right - left), top - (py / this.canvas.clientHeight) * (top - bottom)];
  }

  private toPixel(x: number, y: number): [number, number] {
    const [left, right, bottom, top] = this.sheet.extent;
    return [((x - left) / (right - left)) * this.canvas.width, ((top - y) / (top - bottom)) * this.canvas.height];
  }

  /** The set whose mark is under a place, if one is. */
  markAt(px: number, py: number): number {
    const scale = this.canvas.width / Math.max(1, this.canvas.clientWidth);
    return this.marks.within(11 * scale, [px * scale, py * scale], (x, y) => this.toPixel(x, y));
  }

  /** The set to which the nearest computed start goes; undefined where none was computed, −1 for none. */
  basinAt(x: number, y: number): number | undefined {
    const n = this.sheet.basins.at(this.sheet.extent, x, y);
    return n < 0 ? undefined : this.sheet.basin[n]!;
  }

  /** The share of the nearest arrow's squared length that points out of the plane; undefined where the plane is all there is. */
  outOfPlane(x: number, y: number): number | undefined {
    const n = this.sheet.field.at(this.sheet.extent, x, y);
    return n < 0 ? undefined : this.sheet.out?.[n];
  }

  resize(): void {
    const scale = Math.min(devicePixelRatio || 1, 2);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((side) => Math.max(1, Math.round(side * scale))) as [number, number];
    if (this.canvas.width === width && this.canvas.height === height) return;
    for (const canvas of [this.base, this.moving, this.canvas]) [canvas.width, canvas.height] = [width, height];
    this.drawBase();
  }

  /** The same nodes in other colours. */
  redraw(): void {
    this.cells = undefined;
    this.marks.recolour();
    this.drawBase();
  }

  drawBase(): void {
    const { width, height } = this.base;
    const to = this.base.getContext("2d")!;
    to.imageSmoothingEnabled = false;
    to.clearRect(0, 0, width, height);
    const cells = (this.cells ??= this.look.layer === "speed" ? this.speedCells() : this.look.layer === "out" ? this.outCells() : this.basinCells());
    // Each node lies in the middle of its cell, so the outermost cells reach over the edge by half.
    const [dx, dy] = [width / (cells.width - 1), height / (cells.height - 1)];
    to.drawImage(bitmap(cells), -dx / 2, -dy / 2, width + dx, height + dy);
    if (this.look.streamlines && this.lines) {
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      to.strokeStyle = this.look.layer !== "basins" ? "rgba(255,255,255,.38)" : dark ? "rgba(255,255,255,.3)" : "rgba(16,28,46,.34)";
      to.fillStyle = to.strokeStyle;
      to.lineWidth = width / 560;
      for (const line of this.lines) this.streamline(to, line);
    }
    this.draw();
  }

  /** Could there be streamlines that were not looked for yet? */
  get streamless(): boolean {
    return this.flow !== undefined && this.lines === undefined;
  }

  /** Streamlines take longer than all the rest together; the page is usable before they are there. */
  findStreamlines(): void {
    this.lines ??= this.flow?.streamlines();
    this.drawBase();
  }

  private streamline(to: CanvasRenderingContext2D, line: [number, number][]): void {
    const pixels = line.map(([x, y]) => this.toPixel(x, y));
    to.beginPath();
    pixels.forEach(([x, y], i) => (i ? to.lineTo(x, y) : to.moveTo(x, y)));
    to.stroke();
    const middle = pixels.length >> 1;
    const [[x, y], [u, v]] = [pixels[middle]!, pixels[Math.max(0, middle - 3)]!];
    const [angle, size] = [Math.atan2(y - v, x - u), to.lineWidth * 4];
    to.beginPath();
    to.moveTo(x + size * Math.cos(angle), y + size * Math.sin(angle));
    for (const turn of [2.5, -2.5]) to.lineTo(x + size * Math.cos(angle + turn), y + size * Math.sin(angle + turn));
    to.fill();
  }

  private speedCells(): ImageData {
    const { speed, field } = this.sheet;
    return filled(field, (n) => speedColour(Math.sqrt(speed[n]! / this.fast)));
  }

  /** Dark: arrows lie in the plane; pale: they point out of it. */
  private outCells(): ImageData {
    const { out, field } = this.sheet;
    return filled(field, (n) => speedColour(out?.[n] ?? 0));
  }

  private basinCells(): ImageData {
    const { basin, steps, basins } = this.sheet;
    const logs = Float32Array.from(steps, Math.log1p);
    const sorted = logs.filter((_, i) => basins.known[i]! && basin[i]! >= 0).sort();
    const [low, high] = [0.02, 0.98].map((share) => sorted[Math.round(share * (sorted.length - 1))] ?? 0) as [number, number];
    const depth = (n: number) => (high > low ? Math.min(1, Math.max(0, (logs[n]! - low) / (high - low))) : 0.5);
    const paper = parse(matchMedia("(prefers-color-scheme: dark)").matches ? "#11161c" : "#ffffff");
    return filled(basins, (n) => (basin[n]! < 0 ? parse("#8a929a") : mix(parse(this.hue(basin[n]!)), paper, PALEST * (1 - depth(n)))));
  }

  /** The colour of a set, or of the set with which a merge radius joins it. */
  hue(set: number): string {
    return this.scene.about.sets[this.joined?.[set] ?? set]!.hue;
  }

  /** What changes: limit sets, orbit, cursor. */
  draw(): void {
    const to = this.canvas.getContext("2d")!;
    const { width, height } = this.canvas;
    const unit = width / Math.max(1, this.canvas.clientWidth);
    to.clearRect(0, 0, width, height);
    const [toPixel, hue] = [(x: number, y: number) => this.toPixel(x, y), (set: number) => this.hue(set)];
    this.marks.drawDots(to, unit, toPixel, hue);
    this.drawOrbit(to, unit);
    this.marks.draw(to, unit, this.chosen, toPixel, hue);
    if (this.cursor) {
      const [x, y] = this.toPixel(...this.cursor);
      for (const [style, lineWidth] of [["#ffffff", 3.5], ["#10161d", 1.5]] as const) {
        to.strokeStyle = style;
        to.lineWidth = lineWidth * unit;
        to.beginPath();
        for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
          to.moveTo(x + 4 * dx * unit, y + 4 * dy * unit);
          to.lineTo(x + 11 * dx * unit, y + 11 * dy * unit);
        }
        to.stroke();
      }
    }
  }

  /** The plane and all that lies on it, for a file. */
  drawn(): Drawn {
    const { sheet, scene, look } = this;
    this.cells ?? this.drawBase();
    return {
      title: scene.about.title,
      words: sheet.words,
      extent: sheet.extent,
      labels: sheet.labels,
      cells: this.cells!,
      lines: (look.streamlines && this.lines) || [],
      lineColour: look.layer === "basins" ? "rgba(16,28,46,.34)" : "rgba(255,255,255,.38)",
      marks: this.marks.list.map(({ set, x, y, first, round }) => ({ x, y, name: scene.about.sets[set]!.name, hue: this.hue(set), round, large: first && this.marks.few })),
      orbit: this.orbit?.points.slice(0, this.at + 1).map(({ z }) => sheet.plane.coordinates(z)) ?? [],
    };
  }

  png(): Promise<Blob> {
    const made = document.createElement("canvas");
    [made.width, made.height] = [this.base.width, this.base.height];
    const to = made.getContext("2d")!;
    for (const layer of [this.base, this.canvas]) to.drawImage(layer, 0, 0);
    return new Promise((resolve, reject) => made.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The browser makes no PNG."))), "image/png"));
  }

  private drawOrbit(to: CanvasRenderingContext2D, unit: number): void {
    if (!this.orbit) return;
    const pixels = this.orbit.points.slice(Math.max(0, this.at - LINKS), this.at + 1).map(({ z }) => this.toPixel(...this.sheet.plane.coordinates(z)));
    for (const [style, lineWidth] of [["rgba(255,255,255,.95)", 4.5], ["#c2185b", 2]] as const) {
      to.strokeStyle = style;
      to.lineWidth = lineWidth * unit;
      to.lineJoin = "round";
      to.beginPath();
      pixels.forEach(([x, y], i) => (i ? to.lineTo(x, y) : to.moveTo(x, y)));
      to.stroke();
    }
    to.fillStyle = "#c2185b";
    for (const [x, y] of pixels.slice(-200)) dot(to, x, y, 2.4 * unit);
    const [x, y] = pixels[pixels.length - 1]!;
    to.fillStyle = "#ffffff";
    dot(to, x, y, 7 * unit);
    to.fillStyle = "#c2185b";
    dot(to, x, y, 5 * unit);
  }

  /** One frame of the particles, so long after the last. */
  drift(seconds: number): void {
    const to = this.moving.getContext("2d")!;
    const { width, height } = this.moving;
    if (!this.inView) return;
    if (!this.look.particles || !this.particles) return void to.clearRect(0, 0, width, height);
    to.globalCompositeOperation = "destination-in";
    to.fillStyle = "rgba(0,0,0,.9)";
    to.fillRect(0, 0, width, height);
    to.globalCompositeOperation = "source-over";
    to.strokeStyle = this.look.layer !== "basins" ? "rgba(255,238,190,.8)" : matchMedia("(prefers-color-scheme: dark)").matches ? "rgba(255,255,255,.75)" : "rgba(16,28,46,.6)";
    to.lineWidth = width / 430;
    const { xy } = this.particles;
    this.before.set(xy);
    this.particles.drift(PACE * seconds, 2e-3 * this.fast, this.jumped);
    const [left, right, bottom, top] = this.sheet.extent;
    const [across, along] = [width / (right - left), height / (top - bottom)];
    to.beginPath();
    for (let i = 0; i < xy.length; i += 2) {
      if (this.jumped[i >> 1]) continue;
      to.moveTo((this.before[i]! - left) * across, (top - this.before[i + 1]!) * along);
      to.lineTo((xy[i]! - left) * across, (top - xy[i + 1]!) * along);
    }
    to.stroke();
  }
}

function dot(to: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  to.beginPath();
  to.arc(x, y, radius, 0, 2 * Math.PI);
  to.fill();
}

/** Cells, the first row of nodes at the bottom; where nothing is known yet they are transparent. */
function filled(grid: Grid, colour: (node: number) => readonly [number, number, number]): ImageData {
  const { h, w } = grid;
  const made = new ImageData(w, h);
  for (let i = 0; i < h; i++)
    for (let j = 0; j < w; j++) {
      const node = grid.nearest(i, j);
      if (node < 0) continue;
      const at = 4 * ((h - 1 - i) * w + j);
      [made.data[at], made.data[at + 1], made.data[at + 2]] = colour(node);
      made.data[at + 3] = 255;
    }
  return made;
}

export function bitmap(pixels: ImageData): HTMLCanvasElement {
  const made = document.createElement("canvas");
  [made.width, made.height] = [pixels.width, pixels.height];
  made.getContext("2d")!.putImageData(pixels, 0, 0);
  return made;
}
