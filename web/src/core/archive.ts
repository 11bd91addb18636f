/** The archives in a page: deflated, as base64. */
export async function inflated(text: string): Promise<Uint8Array> {
  const stream = new Blob([bytes(text.trim())]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
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
