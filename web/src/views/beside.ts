/** Another model on the same start: a second living page is read from its file, and its model follows the same picture, step for step. */
import type { Backend } from "../backend/backend";
import { InPage } from "../backend/inpage";
import { archived, inflated } from "../core/archive";
import { Fates, scientific } from "../core/fate";
import { Orbit } from "../core/orbit";
import { Scene, toPicture } from "../core/scene";
import { Sheet } from "../core/sheet";
import { element, show } from "./dom";
import type { Journey } from "./journey";
import { PlaneView } from "./plane";

const OTHER = 0.25; // of the way from black to white, by which the shades of two models may differ

interface Other {
  readonly scene: Scene;
  readonly backend: Backend;
  readonly fates: Fates;
  readonly view: PlaneView;
}

export class Beside {
  private other: Other | undefined;
  orbit: Orbit | undefined;
  /** An orbit that starts at a latent has no picture before it is decoded: the other model reads that one, which is this model's first step. */
  private behind = 0;
  private shown = -1;
  private readonly said = element("beside-words");

  constructor(
    private readonly scene: Scene,
    private readonly backend: Backend,
    private readonly journey: Journey,
  ) {
    const file = element<HTMLInputElement>("beside-file");
    file.addEventListener("change", () => file.files?.[0] && void this.open(file.files[0]));
    element("beside").hidden = !backend.anywhere;
  }

  /** Read another page; what is no page, or has no model that stands its test, is refused in words. */
  async open(file: File): Promise<void> {
    try {
      const page = new DOMParser().parseFromString(await file.text(), "text/html"); // nothing in it runs
      const [packed, archive] = [archived(page, "separatrix-scene"), archived(page, "separatrix-model")];
      if (!packed || !archive) throw new Error("it is no living page with its model inside");
      const scene = Scene.parse(await inflated(packed));
      const [ours, theirs] = [this.scene.about.image, scene.about.image];
      if (String(ours) !== String(theirs) || (!ours && scene.k !== this.scene.k)) throw new Error("its model takes pictures of another size");
      const backend = await InPage.open(scene, archive);
      element("beside-box").hidden = false;
      const view = new PlaneView(scene, Sheet.own(scene), "beside-");
      view.look = { layer: "speed", streamlines: true, particles: false };
      view.resize();
      setTimeout(() => view.findStreamlines());
      this.other = { scene, backend, fates: new Fates(scene), view };
      element("beside-title").textContent = scene.about.title;
      this.said.textContent = "";
      const started = this.journey.orbit;
      if (started) await this.follow(started);
      else this.said.textContent = "Start an orbit; both models follow it.";
    } catch (error) {
      this.said.textContent = `${file.name} cannot stand beside this page: ${(error as Error).message}.`;
    }
  }

  /** Follow what this page's orbit starts from: its picture where the models have pictures, else its latent. */
  async follow(ours: Orbit, picture?: Float32Array): Promise<void> {
    if (!this.other) return;
    this.orbit?.cancel();
    const { scene, backend, fates, view } = this.other;
    const decoded = this.scene.about.image ? (picture ?? (await this.backend.decode(ours.points[0]!.z))) : ours.points[0]!.z;
    const z = decoded instanceof Float32Array ? (this.scene.about.image ? await backend.encode(decoded) : decoded) : undefined;
    if (!z || this.journey.orbit !== ours) return;
    const orbit = new Orbit(z, backend, fates, ours.motion);
    [this.orbit, this.shown, this.behind, view.orbit] = [orbit, -1, picture || !this.scene.about.image ? 0 : 1, orbit];
    while (this.orbit === orbit && (await orbit.advance()));
    if (this.orbit !== orbit) return;
    this.said.textContent = `${scene.about.title}: ${fates.words(orbit.fate, orbit.points[orbit.arrived ?? orbit.points.length - 1]!.t, orbit.motion)}${this.shades}`;
  }

  /** Both models read the same numbers, which are another picture to a model with another black and white. */
  private get shades(): string {
    const [ours, theirs] = [this.scene.about, this.other!.scene.about];
    const [a, b] = [ours.range, theirs.range];
    const apart = Math.max(Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])) / Math.min(a[1] - a[0], b[1] - b[0]);
    if (!ours.image || apart <= OTHER) return "";
    return ` Both read the same numbers, but its pictures have values from ${scientific(b[0])} to ${scientific(b[1])}, and those of this page from ${scientific(a[0])} to ${scientific(a[1])}: perhaps they are not the same pictures to both.`;
  }

  /** One frame: the step of this page's orbit that is shown. */
  tick(): void {
    const { orbit, other } = this;
    if (!orbit || !other) return;
    const at = Math.max(0, Math.min(this.journey.at - this.behind, orbit.points.length - 1));
    if (at === this.shown) return;
    this.shown = other.view.at = at;
    other.view.draw();
    const { image, range } = other.scene.about;
    if (!image) return;
    void other.backend.decode(orbit.points[at]!.z).then((made) => {
      if (made instanceof Float32Array && this.orbit === orbit && this.shown === at) show(element<HTMLCanvasElement>("beside-now"), toPicture(made, image, range));
    });
  }
}
