/** Fills the nodes of a sheet coarse to fine, in portions short enough that a click never waits; whoever needs it no longer cancels it. */
import type { Backend } from "../backend/backend";
import type { Fates } from "./fate";
import { Orbit } from "./orbit";
import { type Grid, type Sheet, STRIDES } from "./sheet";

const PORTION = 40; // milliseconds
const LONGEST = 2000; // steps of one orbit of the map of basins

export class Survey {
  private readonly stop = new AbortController();
  private each = PORTION;

  constructor(
    private readonly sheet: Sheet,
    private readonly backend: Backend,
    private readonly changed: (finished: boolean) => void,
  ) {}

  cancel(): void {
    this.stop.abort();
  }

  private get cancelled(): boolean {
    return this.stop.signal.aborted;
  }

  /** f at every node of the field. */
  async field(): Promise<void> {
    const { sheet, backend } = this;
    const k = sheet.plane.k;
    await this.each_portion(sheet.field, async (nodes) => {
      const z = new Float32Array(nodes.length * k);
      nodes.forEach((n, i) => z.set(sheet.plane.lift(...sheet.field.place(sheet.extent, n)), i * k));
      const f = await backend.field(z, { signal: this.stop.signal });
      if (f === undefined) return this.cancel();
      nodes.forEach((n, i) => sheet.set(n, z.subarray(i * k, (i + 1) * k), f.subarray(i * k, (i + 1) * k)));
    });
  }

  /** Where the orbit from every node of the basins goes; orbits are the same as those of a click. */
  async basins(fates: Fates): Promise<void> {
    const { sheet, backend } = this;
    await this.each_portion(sheet.basins, async (nodes) => {
      for (const n of nodes) {
        const orbit = new Orbit(sheet.plane.lift(...sheet.basins.place(sheet.extent, n)), backend, fates);
        while (!this.cancelled && orbit.fate.kind === "moving" && orbit.last.t < LONGEST && (await orbit.advance()));
        if (this.cancelled) return;
        sheet.basin[n] = orbit.fate.kind === "arrived" ? orbit.fate.set : -1;
        sheet.steps[n] = orbit.last.t;
        sheet.basins.known[n] = 1;
      }
    });
  }

  private async each_portion(grid: Grid, compute: (nodes: number[]) => Promise<void>): Promise<void> {
    for (const stride of STRIDES) {
      const todo: number[] = [];
      for (let i = 0; i < grid.h; i += stride) for (let j = 0; j < grid.w; j += stride) if (!grid.known[i * grid.w + j]) todo.push(i * grid.w + j);
      for (let done = 0; done < todo.length; ) {
        const nodes = todo.slice(done, done + Math.max(1, Math.min(128, Math.floor(PORTION / this.each))));
        const began = performance.now();
        await compute(nodes);
        if (this.cancelled) return;
        this.each = Math.max(1e-3, (performance.now() - began) / nodes.length);
        done += nodes.length;
        this.changed(stride === 1 && done >= todo.length);
      }
    }
  }
}
