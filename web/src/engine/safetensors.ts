/** Arrays by name, as safetensors keep them: 8 bytes of length, JSON, data. Offsets are multiples of 4 where we wrote them. */
export type Arr = Float32Array | Int32Array | Uint8Array;

export interface Tensor {
  readonly data: Arr;
  readonly shape: readonly number[];
}

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

export interface Archive {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

export function parseSafetensors(bytes: Uint8Array): Archive {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = Number(view.getBigUint64(0, true));
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size))) as Record<string, Entry | Record<string, string>>;
  const tensors = new Map<string, Tensor>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(head)) {
    if (name === "__metadata__") {
      metadata = entry as Record<string, string>;
      continue;
    }
    const { dtype, shape, data_offsets } = entry as Entry;
    // A copy, because typed arrays begin at multiples of their width.
    const part = bytes.slice(8 + size + data_offsets[0], 8 + size + data_offsets[1]);
    tensors.set(name, { data: typed(dtype, part), shape });
  }
  return { tensors, metadata };
}

function typed(dtype: string, part: Uint8Array): Arr {
  switch (dtype) {
    case "F32":
      return new Float32Array(part.buffer);
    case "F16":
      return halves(new Uint16Array(part.buffer));
    case "I32":
      return new Int32Array(part.buffer);
    case "U8":
      return part;
    default:
      throw new Error(`An array of ${dtype} is not one that pages hold.`);
  }
}

/** Half-precision numbers, exactly, as float32. */
function halves(raw: Uint16Array): Float32Array {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction ? NaN : Infinity) : (1 + fraction / 1024) * 2 ** (exponent - 15);
    table[bits] = bits & 32768 ? -size : size;
  }
  return Float32Array.from(raw, (bits) => table[bits]!);
}
