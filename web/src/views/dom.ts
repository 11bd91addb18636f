/** Small help with the document. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`The page has no element ${id}.`);
  return found as T;
}

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Puts pixels into a canvas of their own size; CSS enlarges it without blurring. */
export function show(canvas: HTMLCanvasElement, pixels: ImageData | undefined): void {
  if (pixels === undefined) return void canvas.getContext("2d")!.clearRect(0, 0, canvas.width, canvas.height);
  if (canvas.width !== pixels.width || canvas.height !== pixels.height) [canvas.width, canvas.height] = [pixels.width, pixels.height];
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
}

/** An element of a drawing. */
export function svg(tag: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
