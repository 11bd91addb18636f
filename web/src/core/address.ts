/** What the address of the page remembers: the start of the orbit, the plane, and how all of it is shown. */
import type { Look } from "../views/plane";
import type { Motion } from "./orbit";
import type { PlaneChoice } from "./planes";

export interface Remembered {
  z?: Float32Array;
  motion: Motion;
  plane: PlaneChoice;
  look: Look;
  /** The checkpoint of a training. */
  at?: number;
  /** The limit set that is marked; −1 for none. */
  chosen: number;
  /** Sets nearer to each other than this count as one, in latent units; undefined: as the library counts. */
  radius?: number;
  filter: string;
  /** Column of the table, and whether the largest come first. */
  sort?: readonly [column: number, down: boolean];
}

const LISTED = 16; // numbers of a start that are written so that people can read them; more are written as bytes

/** The checkpoint that an address asks for, before anything is known of the training. */
export function checkpoint(hash: string): string | undefined {
  return new URLSearchParams(hash.replace(/^#/, "")).get("checkpoint") ?? undefined;
}

export function read(hash: string, k: number, sets: number, otherwise: Look): Remembered {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const flag = (name: string, usual: boolean) => (said.has(name) ? said.get(name) === "1" : usual);
  const layer = said.get("layer");
  const made: Remembered = {
    motion: said.get("motion") === "flow" ? "flow" : "cascade",
    plane: planeFrom(said.get("plane") ?? "", k, sets),
    look: {
      layer: layer === "basins" || layer === "speed" || (layer === "out" && k > 2) ? layer : otherwise.layer,
      streamlines: flag("lines", otherwise.streamlines),
      particles: flag("particles", otherwise.particles),
    },
    chosen: whole(said.get("set"), sets) ?? -1,
    filter: said.get("filter") ?? "",
  };
  const z = numbers(said.get("z") ?? "");
  if (z?.length === k && z.every(Number.isFinite)) made.z = z;
  const radius = Number(said.get("radius") ?? NaN);
  if (radius >= 0) made.radius = radius;
  const sort = /^(\d)(up|down)$/.exec(said.get("sort") ?? "");
  if (sort) made.sort = [Number(sort[1]), sort[2] === "down"];
  return made;
}

export function write(view: Remembered): string {
  const { look } = view;
  const said = new URLSearchParams({ layer: look.layer, lines: look.streamlines ? "1" : "0", particles: look.particles ? "1" : "0" });
  if (view.motion === "flow") said.set("motion", "flow");
  if (view.plane.kind !== "own") said.set("plane", [view.plane.kind, view.plane.of].flat().join("."));
  if (view.at !== undefined) said.set("checkpoint", String(view.at));
  if (view.chosen >= 0) said.set("set", String(view.chosen));
  if (view.radius !== undefined) said.set("radius", String(Number(view.radius.toPrecision(4))));
  if (view.filter) said.set("filter", view.filter);
  if (view.sort) said.set("sort", `${view.sort[0]}${view.sort[1] ? "down" : "up"}`);
  if (view.z) said.set("z", view.z.length <= LISTED ? listed(view.z).join(",") : bytes(view.z));
  return `#${said.toString().replaceAll("%2C", ",")}`;
}

/** Each number with the nine digits that hold a float32 exactly. */
export function listed(z: Float32Array): string[] {
  return Array.from(z, (value) => String(Number(value.toPrecision(9))));
}

function planeFrom(text: string, k: number, sets: number): PlaneChoice {
  const [kind, ...rest] = text.split(".");
  const of = rest.map((part) => whole(part, kind === "coordinates" ? k : sets));
  if (k <= 2 || of.includes(undefined) || new Set(of).size < of.length) return { kind: "own" };
  if (kind === "coordinates" && of.length === 2) return { kind, of: of as [number, number] };
  if (kind === "sets" && of.length === 3) return { kind, of: of as [number, number, number] };
  if (kind === "pca" && of.length === 1) return { kind, of: of[0]! };
  return { kind: "own" };
}

function whole(text: string | null, below: number): number | undefined {
  return text !== null && /^\d{1,6}$/.test(text) && Number(text) < below ? Number(text) : undefined;
}

function bytes(z: Float32Array): string {
  const all = new Uint8Array(z.slice().buffer);
  return `b${btoa(Array.from(all, (byte) => String.fromCharCode(byte)).join("")).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
}

function numbers(text: string): Float32Array | undefined {
  if (!text.startsWith("b")) return Float32Array.from(text.split(",").filter(Boolean), Number);
  try {
    const all = Uint8Array.from(atob(text.slice(1).replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return all.length % 4 ? undefined : new Float32Array(all.buffer);
  } catch {
    return undefined;
  }
}
