/** Where an orbit may begin besides the plane: pictures of the page, a file, a drawing, noise; and blends between two of them. */
import type { Backend } from "../backend/backend";
import { Blend, BLENDS } from "../core/blend";
import { parse } from "../core/colours";
import { type Fates, scientific } from "../core/fate";
import { Orbit } from "../core/orbit";
import { blended, fromBytes, fromPixels, noise, type Picture } from "../core/pictures";
import { type Scene, toPicture } from "../core/scene";
import { element, make, show } from "./dom";
import { drawingPad } from "./pad";

const LONGEST = 2000; // steps that a blend is followed
const NEAREST = 24; // training images that are offered because attractors are near to them

export class Starts {
  readonly pictures: Picture[] = [];
  private readonly list = element<HTMLOListElement>("examples");
  private readonly selects = [element<HTMLSelectElement>("blend-from"), element<HTMLSelectElement>("blend-to")] as const;
  private readonly share = element<HTMLInputElement>("blend-share");
  private readonly strip = element<HTMLCanvasElement>("blend-strip");
  private readonly said = element("starts-words");
  blend: Blend | undefined;
  private seed = 0;

  constructor(
    private readonly scene: Scene,
    private readonly backend: Backend,
    private readonly fates: Fates,
    private readonly begin: (z: Float32Array, picture: Float32Array) => void,
    private readonly page: (file: File) => void,
  ) {
    if (!scene.about.image || !backend.anywhere) return;
    const size = this.shape[0] * this.shape[1] * this.shape[2];
    if (scene.has("example_x")) scene.about.examples.forEach((name, i) => this.add({ name, x: scene.floats("example_x").slice(i * size, (i + 1) * size) }));
    scene.about.sets.slice(0, NEAREST).forEach(({ nearest }, set) => {
      const bytes = nearest && scene.bytes("near_images", set);
      const name = `${scene.about.noun} ${nearest?.which ?? ""}`.trim();
      if (bytes && !this.pictures.some((picture) => picture.name === name)) this.add({ name, x: fromBytes(bytes, this.shape[0], this.range) });
    });
    const pad = drawingPad(this.shape, (pixels) => this.take({ name: "drawing", x: fromPixels(pixels, this.shape[0], this.range) }));
    element("start-noise").addEventListener("click", () => this.take({ name: `noise ${++this.seed}`, x: noise(this.seed, size, this.range) }));
    element("pad-clear").addEventListener("click", () => pad.clear());
    const file = element<HTMLInputElement>("start-file");
    file.addEventListener("change", () => file.files?.[0] && void this.open(file.files[0]));
    const box = element("examples-box");
    box.hidden = false;
    const target = document.documentElement; // a picture that misses the box would else replace the page
    target.addEventListener("dragover", (event) => {
      event.preventDefault();
      box.toggleAttribute("data-over", true);
    });
    target.addEventListener("dragleave", () => box.removeAttribute("data-over"));
    target.addEventListener("drop", (event) => {
      event.preventDefault();
      box.removeAttribute("data-over");
      const dropped = event.dataTransfer?.files[0];
      if (dropped && /\.html?$/.test(dropped.name)) this.page(dropped);
      else if (dropped) void this.open(dropped);
    });
    for (const select of this.selects) select.addEventListener("change", () => this.between());
    this.share.addEventListener("input", () => void this.fromBlend());
  }

  /** Start from a picture, and keep it among the others. */
  take(picture: Picture): void {
    const kept = this.pictures.findIndex(({ name }) => name === picture.name);
    if (kept >= 0) {
      this.pictures[kept] = picture;
      this.list.children[kept]!.replaceWith(this.item(picture));
    } else this.add(picture);
    void this.start(picture);
  }

  /** Show where the fate flips between two pictures. */
  between(): void {
    this.blend?.cancel();
    this.blend = undefined;
    const pair = this.pair;
    element("blend-box").hidden = !pair;
    if (!pair) return;
    const blend = new Blend(async (share) => {
      const z = await this.backend.encode(blended(pair[0].x, pair[1].x, share));
      if (z === undefined) throw new Error("The model gives no latent for a picture.");
      const orbit = new Orbit(z, this.backend, this.fates);
      while (this.blend === blend && orbit.fate.kind === "moving" && orbit.last.t < LONGEST && (await orbit.advance()));
      return orbit.fate;
    }, () => this.drawBlend(blend, pair));
    this.blend = blend;
    this.drawBlend(blend, pair);
    void blend.run().then(() => this.drawBlend(blend, pair, true), (error: Error) => (element("blend-words").textContent = error.message));
    void this.fromBlend();
  }

  private get shape(): readonly [number, number, number] {
    return this.scene.about.image!;
  }

  private get range(): readonly [number, number] {
    return this.scene.about.range;
  }

  private get pair(): readonly [Picture, Picture] | undefined {
    const [a, b] = this.selects.map((select) => this.pictures[select.selectedIndex - 1]);
    return a && b && a !== b ? [a, b] : undefined;
  }

  private add(picture: Picture): void {
    this.pictures.push(picture);
    this.list.append(this.item(picture));
    for (const select of this.selects) select.append(make("option", {}, picture.name));
  }

  private item(picture: Picture): HTMLLIElement {
    const canvas = make("canvas", { class: "pixels" });
    show(canvas, toPicture(picture.x, this.shape, this.range));
    const button = make("button", { type: "button", title: `Start from ${picture.name}` }, canvas, make("span", {}, picture.name));
    button.addEventListener("click", () => void this.start(this.pictures.find(({ name }) => name === picture.name)!));
    return make("li", {}, button);
  }

  private async start({ name, x }: Picture): Promise<void> {
    const z = await this.backend.encode(x);
    const [low, high] = this.range;
    const shades = (low !== 0 || high !== 1) && !this.scene.about.examples.includes(name);
    this.said.textContent = z
      ? `The orbit starts from ${name}, as the model reads it.${shades ? ` Black is ${scientific(low)} to it and white ${scientific(high)}: the extremes of the pictures in this page.` : ""}`
      : "The model gives no latent for a picture.";
    if (z) this.begin(z, x);
  }

  /** A file, cut to the middle and resized by the browser. */
  private async open(file: File): Promise<void> {
    const [c, h, w] = this.shape;
    try {
      const bitmap = await createImageBitmap(file);
      const canvas = make("canvas", { width: String(w), height: String(h) });
      const to = canvas.getContext("2d", { willReadFrequently: true })!;
      to.imageSmoothingQuality = "high";
      to.fillStyle = "#fff"; // what is transparent lies on white, as in Python
      to.fillRect(0, 0, w, h);
      const scale = Math.max(w / bitmap.width, h / bitmap.height);
      to.drawImage(bitmap, (w - scale * bitmap.width) / 2, (h - scale * bitmap.height) / 2, scale * bitmap.width, scale * bitmap.height);
      this.take({ name: file.name.slice(0, 40), x: fromPixels(to.getImageData(0, 0, w, h).data, c, this.range) });
    } catch {
      this.said.textContent = `${file.name} is no picture that this browser can read; choose a PNG or JPEG file.`;
    }
  }

  private async fromBlend(): Promise<void> {
    const pair = this.pair;
    if (!pair) return;
    const share = Number(this.share.value);
    this.share.setAttribute("aria-valuetext", `${(100 * share).toFixed(1)} % of ${pair[1].name}`);
    await this.start({ name: `${(100 * (1 - share)).toFixed(1)} % ${pair[0].name} and ${(100 * share).toFixed(1)} % ${pair[1].name}`, x: blended(pair[0].x, pair[1].x, share) });
  }

  /** Every blend that was followed, in the colour of the set that it goes to. */
  private drawBlend(blend: Blend, [a, b]: readonly [Picture, Picture], finished = false): void {
    if (this.blend !== blend) return;
    const made = new ImageData(BLENDS, 1);
    blend.sets.forEach((set, i) => {
      if (set !== undefined) made.data.set([...parse(set < 0 ? "#8a929a" : this.scene.about.sets[set]!.hue), 255], 4 * i);
    });
    show(this.strip, made);
    const name = (set: number) => (set < 0 ? "no known set" : this.scene.about.sets[set]!.name);
    const digits = (share: number) => (100 * share).toFixed(4);
    const flips = blend.flips.map(({ below, above, from, to }) => `from ${name(from)} to ${name(to)} between ${digits(below)} and ${digits(above)} %`);
    const done = blend.sets.filter((set) => set !== undefined).length;
    element("blend-words").textContent =
      (finished ? `${BLENDS} blends from ${a.name} to ${b.name} were followed. ` : `${done} of ${BLENDS} blends were followed. `) +
      (flips.length ? `The fate flips ${flips.length === 1 ? "once" : `${flips.length} times`}: ${flips.join("; ")}.` : finished ? `All of them go to ${name(blend.sets[0]!)}.` : "");
  }
}
