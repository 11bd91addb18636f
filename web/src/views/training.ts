/** The slider over the checkpoints of a training: field, limit sets, basins and the model are those of the checkpoint that is shown. */
import type { Scene } from "../core/scene";
import { element } from "./dom";

const PACE = 900; // milliseconds that a checkpoint is shown while the training plays

export class Training {
  /** The checkpoint that is shown; undefined where the page is of one model. */
  at: number | undefined;
  private wanted = -1;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly scene: Scene,
    /** Shows a checkpoint; true once it is seen, false if another one was wanted meanwhile. */
    private readonly show: (at: number, still: () => boolean) => Promise<boolean>,
  ) {
    const { training } = scene.about;
    if (training === undefined) return;
    this.at = this.wanted = training.at;
    const slider = element<HTMLInputElement>("training");
    slider.addEventListener("input", () => {
      this.pause();
      void this.turn(Number(slider.value));
    });
    element("training-play").addEventListener("click", () => (this.timer === undefined ? this.play() : this.pause()));
    this.say();
  }

  async turn(at: number): Promise<void> {
    this.wanted = at;
    if (!(await this.show(at, () => this.wanted === at))) return;
    this.at = at;
    this.say();
  }

  private get last(): number {
    return this.scene.about.training!.checkpoints.length - 1;
  }

  private play(): void {
    if (this.at === this.last) void this.turn(0);
    element("training-play").textContent = "Pause";
    this.timer = setInterval(() => {
      if (this.at !== this.wanted) return; // it is still being read
      if (this.at === this.last) this.pause();
      else void this.turn(this.at! + 1);
    }, PACE);
  }

  private pause(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    element("training-play").textContent = "Play the training";
  }

  private say(): void {
    const { name, words } = this.scene.about.training!.checkpoints[this.at!]!;
    const slider = element<HTMLInputElement>("training");
    slider.value = String(this.at);
    slider.setAttribute("aria-valuetext", name);
    element("training-name").textContent = name;
    element("training-words").textContent = words;
  }
}
