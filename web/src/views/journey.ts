/** One orbit as a reader follows it: its picture now, a film strip, the residual of every step, and what became of it in words. */
import type { Backend } from "../backend/backend";
import { type Fates, grouped, scientific, set_words } from "../core/fate";
import { AROUND, FLOW_STEP, type Orbit } from "../core/orbit";
import { type Scene, toPicture } from "../core/scene";
import { element, make, show } from "./dom";

const SECONDS = 4; // that the whole of an orbit takes
const CORNERS = 1200; // of the line of residuals
const MOMENT = 100; // milliseconds
const SLOWEST = 5; // steps per second
const ROUND = 24; // steps per second on what goes round …
const LONGEST = 20_000; // … up to so many
const SVG = "http://www.w3.org/2000/svg";

export class Journey {
  orbit: Orbit | undefined;
  playing = false;
  /** The step that is shown; a whole number of points. */
  at = 0;
  private place = 0;
  private frames = new Map<number, Promise<ImageData | undefined>>();
  private readonly now = element<HTMLCanvasElement>("now");
  private readonly end = element<HTMLCanvasElement>("end");
  private readonly fate = element("fate");
  private readonly time = element<HTMLInputElement>("time");
  private readonly play = element<HTMLButtonElement>("play");
  private said = "";
  private stale = false;
  private asking = false;
  private clicked = -Infinity;
  private filmed: Orbit | undefined;

  constructor(
    private readonly scene: Scene,
    private readonly backend: Backend,
    private readonly fates: Fates,
    private readonly changed: () => void,
  ) {
    this.time.addEventListener("input", () => this.go(Number(this.time.value)));
    this.play.addEventListener("click", () => this.toggle());
    element("back").addEventListener("click", () => this.go(this.at - 1));
    element("forward").addEventListener("click", () => this.go(this.at + 1));
    element("first").addEventListener("click", () => this.go(0));
    element("last").addEventListener("click", () => this.go(Infinity));
  }

  /** Follow another orbit; with `play` from its beginning, else shown as far as it is known. */
  async follow(orbit: Orbit, play: boolean): Promise<void> {
    this.orbit?.cancel();
    this.orbit = orbit;
    this.frames = new Map();
    this.place = this.at = 0;
    this.setPlaying(play);
    this.update();
    // Before any step: it is what is seen first.
    const clicked = (this.clicked = performance.now());
    void this.picture(orbit, 0).finally(() => requestAnimationFrame(() => this.clicked === clicked && (this.clicked = -Infinity)));
    while (this.orbit === orbit && (await orbit.advance())) this.update();
    if (this.orbit !== orbit) return;
    if (!play) this.at = this.place = orbit.points.length - 1;
    this.update();
  }

  /** A click waits for its first picture: what moves for the eye alone stands still meanwhile, for a moment at most. */
  get waiting(): boolean {
    return performance.now() - this.clicked < MOMENT;
  }

  toggle(): void {
    if (!this.orbit) return;
    if (!this.playing && this.at >= this.orbit.points.length - 1) this.go(0);
    this.setPlaying(!this.playing);
  }

  go(point: number): void {
    if (!this.orbit) return;
    this.setPlaying(false);
    this.at = this.place = Math.max(0, Math.min(point, this.orbit.points.length - 1));
    this.update();
  }

  /** One frame of the animation; however much was computed since the last, the page is changed once. */
  tick(seconds: number): void {
    this.move(seconds);
    if (this.stale) this.render();
  }

  private move(seconds: number): void {
    if (!this.playing || !this.orbit) return;
    const last = this.orbit.points.length - 1;
    const { arrived } = this.orbit;
    const round = arrived !== undefined && this.place >= arrived;
    this.place = Math.min(last, this.place + seconds * (round ? ROUND : Math.max(SLOWEST, (arrived ?? last) / SECONDS)));
    if (this.place >= last && this.orbit.done) {
      if (arrived === undefined || last > LONGEST) this.setPlaying(false);
      else void this.goOn(this.orbit);
    }
    if (Math.floor(this.place) === this.at && this.playing) return;
    this.at = Math.floor(this.place);
    this.update();
  }

  /** What goes round has no end while it plays. */
  private async goOn(orbit: Orbit): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    await orbit.further().finally(() => (this.asking = false));
    if (this.orbit === orbit) this.update();
  }

  private setPlaying(playing: boolean): void {
    this.playing = playing;
    this.play.textContent = playing ? "Pause" : "Play";
  }

  private update(): void {
    this.stale = true;
  }

  private render(): void {
    this.stale = false;
    const orbit = this.orbit;
    if (!orbit) return;
    const last = orbit.points.length - 1;
    this.time.max = String(last);
    this.time.value = String(this.at);
    const point = orbit.points[this.at]!;
    this.time.setAttribute("aria-valuetext", moment(orbit, point.t));
    element("step").textContent = moment(orbit, point.t, orbit.last.t);
    this.residuals(orbit);
    void this.picture(orbit, this.at);
    this.film(orbit);
    const words = orbit.done || this.at < last ? this.fates.words(orbit.fate, orbit.points[orbit.arrived ?? last]!.t, orbit.motion) : "It is being followed …";
    if (words !== this.said) this.fate.textContent = this.said = words; // a screen reader hears it once
    const set = orbit.fate.kind === "arrived" || orbit.fate.kind === "known" ? orbit.fate.set : -1;
    show(this.end, set < 0 ? undefined : this.scene.picture("set_images", set));
    element("end-words").textContent = set < 0 ? (orbit.done ? "no known limit set" : "no limit set yet") : set_words(this.scene.about.sets[set]!);
    this.changed();
  }

  private async picture(orbit: Orbit, at: number): Promise<void> {
    const found = await this.frame(orbit, at);
    if (this.orbit === orbit && this.at === at && found) show(this.now, found);
  }

  /** Each is asked for once, however often it is shown. */
  private frame(orbit: Orbit, at: number): Promise<ImageData | undefined> {
    const known = this.frames.get(at) ?? this.decoded(orbit.points[at]!.z);
    this.frames.set(at, known);
    return known;
  }

  private async decoded(z: Float32Array): Promise<ImageData | undefined> {
    if (!this.scene.about.image) return undefined;
    const found = await this.backend.decode(z);
    return found instanceof Float32Array ? toPicture(found, this.scene.about.image, this.scene.about.range) : found;
  }

  /** Frames at 0, 1, 2, 4, 8 … and at the end; four more of what goes round. */
  private film(orbit: Orbit): void {
    const list = element<HTMLOListElement>("film");
    const { arrived } = orbit;
    const last = arrived ?? orbit.points.length - 1;
    const wanted = [0];
    for (let at = 1; at < last; at *= 2) wanted.push(at);
    if (last > 0) wanted.push(last);
    if (arrived !== undefined) for (let i = 1; i <= 4; i++) if (arrived + (i * AROUND) / 4 < orbit.points.length) wanted.push(arrived + (i * AROUND) / 4);
    const key = wanted.join();
    if (list.dataset["of"] !== key || this.filmed !== orbit) {
      [list.dataset["of"], this.filmed] = [key, orbit];
      list.replaceChildren(
        ...wanted.map((at) => {
          const t = orbit.points[at]!.t;
          const canvas = make("canvas", { class: "pixels", width: "1", height: "1" });
          const said = t ? (orbit.motion === "flow" ? `t ${(FLOW_STEP * t).toFixed(1)}` : `${t}×`) : "start";
          const button = make("button", { type: "button", "aria-label": `${said}, show this step` }, canvas, make("span", {}, said));
          button.addEventListener("click", () => this.go(at));
          void this.frame(orbit, at).then((found) => (found ? show(canvas, found) : canvas.remove()));
          return make("li", { "data-at": String(at) }, button);
        }),
      );
    }
    for (const item of list.children) (item as HTMLElement).toggleAttribute("data-now", Number((item as HTMLElement).dataset["at"]) === this.at);
  }

  /** ‖z_{t+1} − z_t‖ over t, on a logarithmic axis. */
  private residuals(orbit: Orbit): void {
    const chart = element("residual") as unknown as SVGSVGElement;
    const values = orbit.residuals.filter((value) => value > 0 && Number.isFinite(value));
    chart.replaceChildren();
    if (!values.length) return;
    const [high, low] = [Math.log10(values.reduce((a, b) => Math.max(a, b))), Math.log10(values.reduce((a, b) => Math.min(a, b)))];
    const height = Math.max(high - low, 1e-9);
    const x = (i: number) => 4 + (312 * i) / Math.max(1, orbit.residuals.length - 1);
    const y = (value: number) => 6 + (78 * (high - Math.log10(Math.max(value, 10 ** low)))) / height;
    const line = document.createElementNS(SVG, "polyline");
    const every = Math.ceil(orbit.residuals.length / CORNERS);
    line.setAttribute("points", orbit.residuals.flatMap((value, i) => (i % every ? [] : [`${x(i).toFixed(1)},${y(value).toFixed(1)}`])).join(" "));
    chart.append(line);
    const here = Math.min(this.at, orbit.residuals.length - 1);
    const mark = document.createElementNS(SVG, "circle");
    for (const [name, value] of [["cx", x(here)], ["cy", y(orbit.residuals[here]!)], ["r", 4]] as const) mark.setAttribute(name, value.toFixed(1));
    chart.append(mark);
    const unit = this.scene.about.spread;
    element("residual-words").textContent =
      `${orbit.motion === "flow" ? "Speed of the flow" : "Length of each step"}, in spreads, on a logarithmic axis: from ${scientific(orbit.residuals[0]! / unit)} to ` +
      `${scientific(orbit.residuals[orbit.residuals.length - 1]! / unit)}; here ${scientific(orbit.residuals[here]! / unit)}.`;
  }
}

/** Where an orbit is: step 3 of 29, or time 0.3 of 2.9. */
function moment(orbit: Orbit, ...steps: number[]): string {
  const flow = orbit.motion === "flow";
  return `${flow ? "time" : "step"} ${steps.map((t) => (flow ? (FLOW_STEP * t).toFixed(1) : grouped(t))).join(" of ")}`;
}
