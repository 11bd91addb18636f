/** The archives in a page: deflated, as base64. Nothing here waits for another process, so the page need not be laid out before its scene is known. */
export async function inflated(text: string): Promise<Uint8Array> {
  const { readable, writable } = new DecompressionStream("deflate");
  const writer = writable.getWriter();
  void writer.write(bytes(text.trim())).then(() => writer.close()).catch(() => undefined); // the reader hears of what is wrong
  const parts: Uint8Array[] = [];
  const reader = readable.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) parts.push(part.value);
  const made = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (made.set(part, at), at + part.length), 0);
  return made;
}

/** The archive of this name in a page, as it stands there. */
export function archived(page: Document, id: string): string | undefined {
  return page.getElementById(id)?.textContent || undefined;
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  const { fromBase64 } = Uint8Array as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> }; // of browsers since 2025
  if (fromBase64) return fromBase64.call(Uint8Array, text);
  const characters = atob(text);
  const made = new Uint8Array(characters.length);
  for (let i = 0; i < made.length; i++) made[i] = characters.charCodeAt(i);
  return made;
}
