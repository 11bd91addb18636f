/** Colours: of speed (dark: still; one hue, so that lightness alone tells), of basins, and what can be read on them. */
type RGB = readonly [number, number, number];

// As separatrix.plots._style.SPEED.
const SPEED: readonly RGB[] = ["#101c2e", "#1d3450", "#325a7a", "#5b87a3", "#98b6c6"].map(parse);

export function parse(hex: string): RGB {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)) as unknown as RGB;
}

export function speedColour(share: number): RGB {
  const at = Math.min(Math.max(share, 0), 1) * (SPEED.length - 1);
  const i = Math.min(Math.floor(at), SPEED.length - 2);
  return mix(SPEED[i]!, SPEED[i + 1]!, at - i);
}

export function mix(a: RGB, b: RGB, share: number): RGB {
  const part = (i: 0 | 1 | 2) => Math.round(a[i] + (b[i] - a[i]) * share);
  return [part(0), part(1), part(2)];
}

/** Ink or white, whichever can be read on a background (relative luminance of WCAG 2). */
export function readableOn(hex: string): string {
  const [r, g, b] = parse(hex).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4)) as unknown as RGB;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#10161d" : "#ffffff";
}
