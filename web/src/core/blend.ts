/** Where the fate flips between two pictures: blends are followed coarse to fine, and each flip is then halved. */
import type { Fate } from "./fate";
import { STRIDES } from "./sheet";

export const BLENDS = 65; // of the form 8n + 1
const HALVINGS = 12;

export interface Flip {
  /** The last share with one fate, and the first with the other, as near as it was halved. */
  readonly below: number;
  readonly above: number;
  readonly from: number;
  readonly to: number;
}

export class Blend {
  /** Per blend the set that it goes to, −1 for none; undefined: not followed yet. */
  readonly sets: (number | undefined)[] = new Array<undefined>(BLENDS).fill(undefined);
  flips: Flip[] = [];
  private cancelled = false;

  constructor(
    /** Follows one blend to its end. */
    private readonly fate: (share: number) => Promise<Fate>,
    private readonly changed: () => void,
  ) {}

  cancel(): void {
    this.cancelled = true;
  }

  async run(): Promise<void> {
    for (const stride of STRIDES)
      for (let i = 0; i < BLENDS; i += stride) {
        if (this.sets[i] !== undefined) continue;
        const found = await this.follow(i / (BLENDS - 1));
        if (found === undefined) return;
        this.sets[i] = found;
        this.changed();
      }
    for (let i = 1; i < BLENDS; i++) {
      const [from, to] = [this.sets[i - 1]!, this.sets[i]!];
      if (from === to) continue;
      let [below, above, after] = [(i - 1) / (BLENDS - 1), i / (BLENDS - 1), to];
      for (let n = 0; n < HALVINGS; n++) {
        const middle = (below + above) / 2;
        const found = await this.follow(middle);
        if (found === undefined) return;
        if (found === from) below = middle;
        else [above, after] = [middle, found]; // a third set may lie between
      }
      this.flips.push({ below, above, from, to: after });
      this.changed();
    }
  }

  private async follow(share: number): Promise<number | undefined> {
    const fate = await this.fate(share);
    return this.cancelled ? undefined : fate.kind === "arrived" ? fate.set : -1;
  }
}
