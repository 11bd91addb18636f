/** What the address of the page remembers: the start of the orbit and how the plane is shown. */
import type { Look } from "../views/plane";

export interface Remembered {
  z?: Float32Array;
  look: Look;
}

export function read(hash: string, k: number, otherwise: Look): Remembered {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const made: Remembered = {
    look: {
      layer: said.get("layer") === "basins" ? "basins" : said.get("layer") === "speed" ? "speed" : otherwise.layer,
      streamlines: said.has("lines") ? said.get("lines") === "1" : otherwise.streamlines,
      particles: said.has("particles") ? said.get("particles") === "1" : otherwise.particles,
    },
  };
  const z = Float32Array.from((said.get("z") ?? "").split(",").filter(Boolean), Number);
  if (z.length === k && z.every(Number.isFinite)) made.z = z;
  return made;
}

export function write({ z, look }: Remembered): string {
  const said = new URLSearchParams({ layer: look.layer, lines: look.streamlines ? "1" : "0", particles: look.particles ? "1" : "0" });
  // 9 digits hold a float32 exactly.
  if (z && z.length <= 256) said.set("z", Array.from(z, (value) => String(Number(value.toPrecision(9)))).join(","));
  return `#${said.toString().replaceAll("%2C", ",")}`;
}
