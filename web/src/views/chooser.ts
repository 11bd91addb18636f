/** Which plane is shown, and which layer of it: a slice is called a slice, and how much of it was computed is said. */
import type { Backend } from "../backend/backend";
import { type Fates, grouped, signed } from "../core/fate";
import { type PlaneChoice, sheetOf } from "../core/planes";
import type { Scene } from "../core/scene";
import type { Sheet } from "../core/sheet";
import { Survey } from "../core/survey";
import { element, make } from "./dom";
import type { Layer, PlaneView } from "./plane";
import { percent } from "./table";

const KINDS: Record<PlaneChoice["kind"], string> = {
  own: "as it was found",
  coordinates: "two coordinates",
  sets: "through three limit sets",
  pca: "PCA of one limit set",
};

export class PlaneChooser {
  choice: PlaneChoice = { kind: "own" };
  private readonly kind = element<HTMLSelectElement>("plane-kind");
  private readonly of = element("plane-of");
  private readonly words = element("plane-words");
  private readonly stop = element<HTMLButtonElement>("plane-stop");
  private surveys: Survey[] = [];

  constructor(
    private readonly scene: Scene,
    private readonly backend: Backend,
    private readonly fates: Fates,
    private readonly view: PlaneView,
    private own: Sheet,
    private readonly changed: () => void,
  ) {
    const sets = scene.about.sets.length;
    const possible = scene.k > 2 && backend.anywhere;
    if (possible) {
      const longest = scene.about.sets.findIndex((_, set) => scene.trace(set).length > 2);
      for (const kind of ["own", "coordinates", ...(sets > 2 ? ["sets"] : []), ...(longest >= 0 ? ["pca"] : [])] as PlaneChoice["kind"][])
        this.kind.append(make("option", { value: kind }, KINDS[kind]));
      const first: Record<PlaneChoice["kind"], PlaneChoice> = {
        own: { kind: "own" },
        coordinates: { kind: "coordinates", of: [0, 1] },
        sets: { kind: "sets", of: [0, 1, 2] },
        pca: { kind: "pca", of: Math.max(0, longest) },
      };
      this.kind.addEventListener("change", () => this.set(first[this.kind.value as PlaneChoice["kind"]]));
      element("plane-choice").hidden = false;
    }
    for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=layer]")) {
      if (radio.value === "out" && scene.k <= 2) radio.parentElement!.remove();
      radio.checked = radio.value === view.look.layer;
      radio.addEventListener("change", () => {
        view.look.layer = radio.value as Layer;
        view.redraw();
        this.compute();
        this.changed();
      });
    }
    this.stop.addEventListener("click", () => this.cancel());
    this.say();
  }

  /** The library's plane is that of another checkpoint. */
  turn(own: Sheet): void {
    this.own = own;
    this.set({ kind: "own" });
  }

  /** Show a plane; its nodes are computed coarse to fine. */
  set(choice: PlaneChoice): void {
    this.cancel();
    let sheet: Sheet;
    try {
      sheet = choice.kind === "own" || !this.backend.anywhere ? this.own : sheetOf(choice, this.scene);
    } catch (error) {
      this.choice = choice;
      this.ask();
      this.words.textContent = (error as Error).message;
      return;
    }
    this.choice = sheet === this.own ? { kind: "own" } : choice;
    this.view.show(sheet);
    this.view.redraw();
    this.ask();
    this.compute();
    this.changed();
  }

  private cancel(): void {
    for (const survey of this.surveys) survey.cancel();
    this.surveys = [];
    this.say();
  }

  private compute(): void {
    const { sheet } = this.view;
    if (sheet === this.own && this.scene.has("speed")) return this.drawn(true);
    for (const survey of this.surveys) survey.cancel();
    const survey = new Survey(sheet, this.backend, (finished) => this.drawn(finished));
    this.surveys = [survey];
    // What is looked at comes first.
    const first = this.view.look.layer === "basins" ? survey.basins(this.fates).then(() => survey.field()) : survey.field();
    void first.catch((error: Error) => (this.words.textContent = error.message)).finally(() => this.surveys[0] === survey && this.cancel());
    this.say();
  }

  private drawn(finished: boolean): void {
    this.view.renew();
    this.view.drawBase();
    if (finished || this.view.streamless) setTimeout(() => this.view.findStreamlines());
    this.say();
  }

  /** The selects of the choice. */
  private ask(): void {
    this.kind.value = this.choice.kind;
    const { choice, scene } = this;
    const options =
      choice.kind === "coordinates"
        ? Array.from({ length: scene.k }, (_, i) => [i, String(i + 1)] as const)
        : scene.about.sets.map((row, i) => [i, row.name] as const).filter(([i]) => choice.kind !== "pca" || scene.trace(i).length > 2);
    const chosen: readonly number[] = choice.kind === "own" ? [] : choice.kind === "pca" ? [choice.of] : choice.of;
    this.of.replaceChildren(
      ...chosen.map((now, place) => {
        const select = make("select", { "aria-label": `${choice.kind === "coordinates" ? "Coordinate" : "Limit set"} ${place + 1}` });
        for (const [value, text] of options) select.append(make("option", { value: String(value), ...(value === now ? { selected: "" } : {}) }, text));
        select.addEventListener("change", () => {
          const of = chosen.map((old, i) => (i === place ? Number(select.value) : old));
          this.set((choice.kind === "pca" ? { kind: "pca", of: of[0] } : { kind: choice.kind, of }) as PlaneChoice);
          this.of.querySelectorAll("select")[place]?.focus();
        });
        return select;
      }),
    );
  }

  /** Which plane this is, how much of its arrows it does not show, and how far it is computed. */
  private say(): void {
    const { sheet, look } = this.view;
    const { labels, extent } = sheet;
    const digits = (value: number) => signed(String(Number(value.toPrecision(3))));
    element("axis-left").textContent = digits(extent[0]);
    element("axis-right").textContent = digits(extent[1]);
    element("axis-words").textContent = `${labels[0]} →, ${labels[1]} ↑ (${digits(extent[2])} to ${digits(extent[3])})`;
    this.stop.hidden = !this.surveys.length;
    const parts: string[] = [];
    if (sheet.words) parts.push(`A slice of ${this.scene.about.latent_shape.join(" × ")} dimensions: ${sheet.words}. Marks and orbits are projected onto it; orbits run in all dimensions.`);
    if (sheet.typicalOut !== undefined && sheet.field.count) parts.push(`Half of the arrows point out of it with more than ${percent(sheet.typicalOut)} of their squared length.`);
    if (sheet !== this.own || !this.scene.has("speed")) {
      const grid = look.layer === "basins" ? sheet.basins : sheet.field;
      parts.push(`Computed in this page at ${grouped(grid.count)} of ${grouped(grid.h * grid.w)} points.`);
    } else if (this.scene.k > 2 && !this.backend.anywhere) parts.push("Without the model the page has this plane alone.");
    this.words.textContent = parts.join(" ");
  }
}
