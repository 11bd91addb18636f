/** The tolerance dial: how many attracting sets there are, against the radius within which two of them count as one. */
import { grouped, scientific } from "../core/fate";
import { type Edge, joined, type Plateau, plateaus, spanningTree } from "../core/linkage";
import type { Scene } from "../core/scene";
import { element, svg } from "./dom";
import type { PlaneView } from "./plane";

const [NOTCHES, WIDTH, HEIGHT] = [400, 320, 110] as const;
const NAMED = 8; // groups that are spelt out

export class ToleranceDial {
  /** In latent units; undefined: as the library counts. */
  radius: number | undefined;
  private readonly box = element<HTMLDetailsElement>("dial-box");
  private readonly slider = element<HTMLInputElement>("dial");
  private sets: number[] = [];
  private steps: Plateau[] = [];
  private edges: Promise<Edge[]> | undefined;

  constructor(
    private readonly scene: Scene,
    private readonly view: PlaneView,
    private readonly changed: () => void,
  ) {
    this.slider.max = String(NOTCHES);
    this.box.addEventListener("toggle", () => this.box.open && this.show());
    this.slider.addEventListener("input", () => void this.set(this.radiusAt(Number(this.slider.value))).then(() => this.changed()));
    element("dial-reset").addEventListener("click", () => void this.set(undefined).then(() => this.changed()));
    this.renew();
  }

  /** The sets are those that the scene has now. */
  renew(): void {
    const { scene } = this;
    this.sets = scene.about.sets.flatMap((row, set) => (row.stable === 1 && scene.trace(set).length ? [set] : []));
    [this.radius, this.edges, this.view.joined] = [undefined, undefined, undefined];
    this.box.hidden = this.sets.length < 2;
    if (this.box.open && !this.box.hidden) void this.show();
  }

  private get unit(): number {
    return this.scene.about.spread;
  }

  /** Count as one what is nearer than this; the plane takes their colours together. */
  async set(radius: number | undefined): Promise<void> {
    if (this.sets.length < 2) return;
    this.radius = radius;
    if (radius !== undefined) this.box.open = true;
    await this.show();
  }

  private async show(): Promise<void> {
    this.edges ??= spanningTree(this.sets.map((set) => this.scene.trace(set)));
    const asked = this.edges;
    const edges = await asked;
    if (this.edges !== asked) return;
    this.steps = plateaus(edges, this.least);
    const radius = this.radius ?? this.least;
    this.slider.value = String(this.notchOf(radius));
    const groups = joined(edges, this.sets.length, radius);
    if (this.radius === undefined) this.view.joined = undefined;
    else {
      this.view.joined = Int32Array.from(this.scene.about.sets, (_, set) => set);
      this.sets.forEach((set, i) => (this.view.joined![set] = this.sets[groups[i]!]!));
    }
    this.view.redraw();
    this.say(radius, groups);
    this.draw(radius);
  }

  /** The radius at which the library itself took two ends for one, as far as it is a distance. */
  private get least(): number {
    const { merge, merge_tolerance } = this.scene.about.protocol;
    return (merge === "distance" ? merge_tolerance : 1e-6) * this.unit;
  }

  private get most(): number {
    return 2 * Math.max(this.steps[this.steps.length - 1]?.from ?? 0, 10 * this.least);
  }

  private radiusAt(notch: number): number {
    return this.least * (this.most / this.least) ** (notch / NOTCHES);
  }

  private notchOf(radius: number): number {
    return Math.round((NOTCHES * Math.log(Math.max(radius, this.least) / this.least)) / Math.log(this.most / this.least));
  }

  private say(radius: number, groups: Int32Array): void {
    const decades = ({ from, to }: Plateau) => Math.log10(Math.min(to, this.most) / from);
    const here = this.steps.findLast(({ from }) => from <= radius) ?? this.steps[0]!;
    const longest = this.steps.slice(0, -1).reduce((best, step) => (decades(step) > decades(best) ? step : best), this.steps[0]!);
    const range = (step: Plateau) => `from ${scientific(step.from / this.unit)} to ${step.to < Infinity ? scientific(step.to / this.unit) : "any radius above"} spreads`;
    const names = new Map<number, string[]>();
    groups.forEach((first, i) => names.set(first, [...(names.get(first) ?? []), this.scene.about.sets[this.sets[i]!]!.name]));
    const together = [...names.values()].filter((group) => group.length > 1);
    const count = grouped(here.count);
    const words =
      `Within ${scientific(radius / this.unit)} spreads: ${count} attracting ${here.count === 1 ? "set" : "sets"}. The count is the same ${range(here)}` +
      `${here.to < Infinity ? `, over ${decades(here).toFixed(1)} decades` : ""}. ` +
      (longest === here ? "That is its longest plateau." : `Its longest plateau: ${grouped(longest.count)}, ${range(longest)}.`) +
      (together.length ? ` As one count ${together.slice(0, NAMED).map((group) => group.slice(0, NAMED).join(" ") + (group.length > NAMED ? " …" : "")).join("; ")}${together.length > NAMED ? "; …" : ""}.` : "");
    element("dial-words").textContent = words;
    this.slider.setAttribute("aria-valuetext", `${scientific(radius / this.unit)} spreads, ${count} sets`);
  }

  private draw(radius: number): void {
    const chart = element("dial-chart") as unknown as SVGSVGElement;
    const x = (r: number) => 34 + ((WIDTH - 40) * this.notchOf(Math.min(r, this.most))) / NOTCHES;
    const most = this.steps[0]!.count;
    const log = most > 20;
    const y = (count: number) => HEIGHT - 20 - ((HEIGHT - 30) * (log ? Math.log(count) : count - 1)) / (log ? Math.log(most) : Math.max(1, most - 1));
    const path = this.steps.map(({ count, from, to }, i) => `${i ? "L" : "M"}${x(from).toFixed(1)},${y(count).toFixed(1)}L${x(to).toFixed(1)},${y(count).toFixed(1)}`).join("");
    const here = this.steps.findLast(({ from }) => from <= radius) ?? this.steps[0]!;
    const text = (at: number, down: number, words: string, anchor: string) => {
      const made = svg("text", { x: at.toFixed(1), y: down.toFixed(1), "text-anchor": anchor });
      made.textContent = words;
      return made;
    };
    chart.replaceChildren(
      svg("path", { d: path }),
      svg("line", { x1: x(radius).toFixed(1), x2: x(radius).toFixed(1), y1: "4", y2: String(HEIGHT - 18) }),
      svg("circle", { cx: x(radius).toFixed(1), cy: y(here.count).toFixed(1), r: "4" }),
      text(30, y(most) + 4, String(most), "end"),
      ...(most > 1 ? [text(30, y(1) + 4, "1", "end")] : []),
      text(34, HEIGHT - 4, scientific(this.least / this.unit), "start"),
      text(WIDTH - 4, HEIGHT - 4, `${scientific(this.most / this.unit)} spreads`, "end"),
    );
  }
}
