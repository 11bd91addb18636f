/** What a reader takes along: PNG, SVG, CSV, the address, and the lines of Python for what is on the screen. */
import type { Remembered } from "../core/address";
import { drawing } from "../core/drawing";
import type { Orbit } from "../core/orbit";
import type { Scene } from "../core/scene";
import { orbitCsv, python, tableCsv } from "../core/written";
import { element, make } from "./dom";
import type { PlaneView } from "./plane";

export class Saving {
  private readonly said = element("save-words");

  constructor(
    private readonly scene: Scene,
    private readonly view: PlaneView,
    private readonly seen: () => Remembered,
    private readonly orbit: () => Orbit | undefined,
    private readonly order: () => readonly number[],
  ) {
    const act = (id: string, run: () => void) => element(id).addEventListener("click", run);
    act("save-png", () => void this.view.png().then((blob) => this.save("plane.png", blob)));
    act("save-svg", () => this.save("plane.svg", new Blob([this.svg()], { type: "image/svg+xml" })));
    act("save-orbit", () => {
      const followed = this.orbit();
      if (followed) this.save("orbit.csv", new Blob([orbitCsv(followed, view.sheet)], { type: "text/csv" }));
      else this.said.textContent = "No orbit was followed yet.";
    });
    act("save-table", () => this.save("limit-sets.csv", new Blob([tableCsv(scene, this.order())], { type: "text/csv" })));
    element("copy-link").hidden = parent !== window; // the output of a cell has no address
    act("copy-link", () => void this.copy(location.href, "The address of this view"));
    act("copy-python", () => void this.copy(this.python(), "The lines of Python"));
    this.say();
  }

  /** The lines of Python are those of what is seen now. */
  say(): void {
    element("code").textContent = this.python();
  }

  python(): string {
    const orbit = this.orbit();
    return python(this.scene, this.view.sheet, this.seen().motion, orbit?.points[0]!.z, orbit?.last.t ?? 0);
  }

  svg(): string {
    return drawing(this.view.drawn());
  }

  private save(name: string, blob: Blob): void {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    this.said.textContent = `${name} was saved.`;
  }

  private async copy(text: string, what: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      this.said.textContent = `${what} were copied.`.replace("view were", "view was");
    } catch {
      this.said.textContent = `The browser does not let this page copy; ${what.toLowerCase()}: mark and copy it below, or from the address bar.`;
    }
  }
}
