/** What a reader takes along, as text: the orbit and the table as CSV, the plane as SVG, and the lines of Python that compute the same. */
import { listed } from "./address";
import { type Motion, FLOW_STEP, type Orbit } from "./orbit";
import type { Scene } from "./scene";
import type { Sheet } from "./sheet";

const INLINE = 64; // numbers that stand in the lines as numbers; more stand there as bytes

export function orbitCsv(orbit: Orbit, sheet: Sheet): string {
  const k = orbit.points[0]!.z.length;
  const time = orbit.motion === "flow" ? "time" : "step";
  const head = [time, "x", "y", orbit.motion === "flow" ? "speed" : "step_length", ...Array.from({ length: k }, (_, i) => `z${i + 1}`)];
  const rows = orbit.points.map(({ t, z }, i) => {
    const [x, y] = sheet.plane.coordinates(z);
    return [orbit.motion === "flow" ? (FLOW_STEP * t).toFixed(1) : t, x, y, orbit.residuals[i] ?? "", ...listed(z)];
  });
  return csv([head, ...rows]);
}

export function tableCsv(scene: Scene, order: readonly number[]): string {
  const head = ["set", "kind", "attracts", "share", "share_low", "share_high", "rho", "norm", "period", "median_steps", "residual", "nearest", "likeness", "p"];
  const rows = order.map((set) => {
    const row = scene.about.sets[set]!;
    const attracts = row.stable === 1 ? "yes" : row.stable === 0 ? "no" : "unknown";
    const { nearest } = row;
    return [row.name, row.kind, attracts, row.share, row.interval?.[0], row.interval?.[1], row.rho, row.norm, row.period, row.steps, row.residual, nearest?.which, nearest?.coefficient, nearest?.p];
  });
  return csv([head, ...rows]);
}

function csv(rows: readonly (readonly (string | number | null | undefined)[])[]): string {
  // A cell that begins like a formula is text to every program that opens the file.
  const safe = (text: string) => (/^[=+\-@\t]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text);
  const cell = (value: string | number | null | undefined) => {
    const text = safe(String(value ?? ""));
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${rows.map((row) => row.map(cell).join(",")).join("\n")}\n`;
}

/** The lines of Python that follow the orbit on the page, and evaluate the field in its plane where that is a slice. */
export function python(scene: Scene, sheet: Sheet, motion: Motion, start: Float32Array | undefined, steps: number): string {
  const { origin, latent_shape } = scene.about;
  const k = scene.k;
  const long = k > INLINE;
  const lines = [
    `import ${long ? "base64, " : ""}separatrix as sx, torch`,
    `field = sx.load(${origin ? JSON.stringify(origin) : "…"})${origin ? "" : "  # your model"}`,
    ...(long ? ["numbers = lambda text: torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.float32)"] : []),
    `z = ${start ? tensor(start) : "torch.tensor([…])"}.reshape(1, ${latent_shape.join(", ")})`,
    `for step in range(${start ? steps : 100}):`,
    motion === "flow" ? `    z = z + ${FLOW_STEP} * (field(z) - z)  # dz/dt = v(z)` : "    z = field(z)  # encode(decode(z))",
  ];
  if (k > 2) {
    const shape = latent_shape.join(", ");
    const [n, words] = [sheet.field.w, sheet.words];
    lines.push(
      `# ${words}`,
      `origin = ${tensor(sheet.plane.origin)}.reshape(${shape})`,
      `axes = torch.stack([${tensor(sheet.plane.axes.subarray(0, k))}, ${tensor(sheet.plane.axes.subarray(k))}]).reshape(2, ${shape})`,
      "plane = sx.plots.Plane.through(origin, axes)",
      `xy, v = plane.velocity(field, (${sheet.extent.join(", ")}), ${n})`,
      "out_of_plane = plane.off_plane(v)",
    );
  }
  return lines.join("\n");
}

function tensor(z: Float32Array): string {
  if (z.length <= INLINE) return `torch.tensor([${listed(z).join(", ")}])`;
  const bytes = new Uint8Array(z.slice().buffer);
  return `numbers("${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}")`;
}
