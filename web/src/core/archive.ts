/** The archives in a page: deflated, as base64. */
export async function inflated(page: Document, id: string): Promise<Uint8Array | undefined> {
  const text = page.getElementById(id)?.textContent?.trim();
  if (!text) return undefined;
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
