/** The plane as an SVG file: every cell, line, mark and point as a shape. */
import { readableOn } from "./colours";
import type { Extent } from "./flow";

const SIZE = 600;

export interface Drawn {
  readonly title: string;
  readonly words: string;
  readonly extent: Extent;
  readonly labels: readonly [string, string];
  /** One pixel per node, the last row of nodes first. */
  readonly cells: ImageData;
  readonly lines: readonly (readonly (readonly [number, number])[])[];
  readonly lineColour: string;
  readonly marks: readonly { x: number; y: number; name: string; hue: string; round: boolean; large: boolean }[];
  readonly orbit: readonly (readonly [number, number])[];
}

export function drawing(of: Drawn): string {
  const [left, right, bottom, top] = of.extent;
  const px = (x: number) => ((x - left) / (right - left)) * SIZE;
  const py = (y: number) => ((top - y) / (top - bottom)) * SIZE;
  const digits = (value: number) => String(Number(value.toFixed(1)));
  const path = (points: readonly (readonly [number, number])[]) => points.map(([x, y], i) => `${i ? "L" : "M"}${digits(px(x))} ${digits(py(y))}`).join("");
  const marks = of.marks.map(({ x, y, name, hue, round, large }) => {
    const [cx, cy, frame] = [digits(px(x)), digits(py(y)), `fill="${hue}" stroke="#fff" stroke-width="1.5"`];
    const shape = round ? `<circle cx="${cx}" cy="${cy}" r="${large ? 11 : 2.5}" ${frame}/>` : `<rect x="${digits(px(x) - 9)}" y="${digits(py(y) - 9)}" width="18" height="18" ${frame}/>`;
    return large ? `${shape}<text x="${cx}" y="${digits(py(y) + 4.5)}" text-anchor="middle" fill="${readableOn(hue)}">${escaped(name)}</text>` : shape;
  });
  const end = of.orbit[of.orbit.length - 1];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE} ${SIZE + 24}" width="${SIZE}" height="${SIZE + 24}" role="img" font-family="system-ui, sans-serif" font-weight="600" font-size="13">`,
    `<title>${escaped(of.title)}</title><desc>${escaped(of.words)}</desc>`,
    `<clipPath id="frame"><path d="M0 0H${SIZE}V${SIZE}H0z"/></clipPath><g clip-path="url(#frame)">`,
    `<g shape-rendering="crispEdges">${cells(of.cells).join("")}</g>`,
    `<path d="${of.lines.map(path).join("")}" fill="none" stroke="${of.lineColour}" stroke-width="1.1"/>`,
    ...(of.orbit.length ? [`<g fill="none" stroke-linejoin="round"><path d="${path(of.orbit)}" stroke="#fff" stroke-width="4.5"/><path d="${path(of.orbit)}" stroke="#c2185b" stroke-width="2"/></g>`] : []),
    ...(end ? [`<circle cx="${digits(px(end[0]))}" cy="${digits(py(end[1]))}" r="5.5" fill="#c2185b" stroke="#fff" stroke-width="2"/>`] : []),
    ...marks,
    "</g>",
    `<g font-weight="400" fill="#5d6975"><text x="0" y="${SIZE + 17}">${label(left)}</text><text x="${SIZE / 2}" y="${SIZE + 17}" text-anchor="middle">${escaped(`${of.labels[0]} →, ${of.labels[1]} ↑ (${label(bottom)} to ${label(top)})`)}</text><text x="${SIZE}" y="${SIZE + 17}" text-anchor="end">${label(right)}</text></g>`,
    "</svg>\n",
  ].join("\n");
}

/** Neighbours of one colour in a row become one shape, and all shapes of a colour one path. */
function cells({ width, height, data }: ImageData): string[] {
  const [dx, dy] = [SIZE / (width - 1), SIZE / (height - 1)];
  const paths = new Map<string, string[]>();
  for (let i = 0; i < height; i++) {
    for (let j = 0, first = 0; j < width; j++) {
      const colour = hex(data, i * width + j);
      if (j + 1 < width && hex(data, i * width + j + 1) === colour) continue;
      if (colour) {
        const made = paths.get(colour) ?? [];
        if (!made.length) paths.set(colour, made);
        made.push(`M${short((first - 0.5) * dx)} ${short((i - 0.5) * dy)}h${short((j + 1 - first) * dx)}v${short(dy)}h${short((first - j - 1) * dx)}z`);
      }
      first = j + 1;
    }
  }
  return [...paths].map(([colour, made]) => `<path fill="${colour}" d="${made.join("")}"/>`);
}

function hex(data: Uint8ClampedArray, pixel: number): string | undefined {
  if (!data[4 * pixel + 3]) return undefined;
  return `#${[0, 1, 2].map((c) => data[4 * pixel + c]!.toString(16).padStart(2, "0")).join("")}`;
}

const short = (value: number) => String(Number(value.toFixed(2)));
const label = (value: number) => String(Number(value.toPrecision(3)));
export const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
