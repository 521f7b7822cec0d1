// SHA-256 (FIPS 180-4). The browser's own where the page has a secure context; this one where it has not, as on
// a plain address in a local network.
const K = new Uint32Array(64);
const H = new Uint32Array(8);
{
  // The first 32 bits of the fractional parts of the cube and square roots of the first primes.
  const bits = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32);
  let n = 0;
  for (let p = 2; n < 64; p += 1) {
    let prime = true;
    for (let d = 2; d * d <= p; d += 1) if (p % d === 0) prime = false;
    if (!prime) continue;
    if (n < 8) H[n] = bits(Math.sqrt(p));
    K[n] = bits(Math.cbrt(p));
    n += 1;
  }
}
const turn = (x, n) => (x >>> n) | (x << (32 - n));

/** Of bytes, as 64 hexadecimal digits, without help from the browser. */
export function digest(bytes) {
  const length = bytes.length;
  const padded = new Uint8Array(((length + 8) >> 6 << 6) + 64);
  padded.set(bytes);
  padded[length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(length / 2 ** 29));
  view.setUint32(padded.length - 4, (length << 3) >>> 0);
  const h = Uint32Array.from(H); const w = new Uint32Array(64);
  for (let at = 0; at < padded.length; at += 64) block(view, at, h, w);
  return [...h].map((x) => x.toString(16).padStart(8, "0")).join("");
}

function block(view, at, h, w) {
  for (let i = 0; i < 16; i += 1) w[i] = view.getUint32(at + 4 * i);
  for (let i = 16; i < 64; i += 1) {
    const a = w[i - 15]; const b = w[i - 2];
    w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + w[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
  }
  const s = [...h];
  for (let i = 0; i < 64; i += 1) {
    const [a, b, c, , e, f, g, z] = s;
    const one = (z + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
    const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    s.unshift((one + two) | 0);
    s.pop();
    s[4] = (s[4] + one) | 0;
  }
  s.forEach((x, i) => { h[i] += x; });
}

/** Of an ArrayBuffer. */
export async function sha256(buffer) {
  if (!globalThis.crypto?.subtle) return digest(new Uint8Array(buffer));
  const found = await crypto.subtle.digest("SHA-256", buffer);
  return [...new Uint8Array(found)].map((b) => b.toString(16).padStart(2, "0")).join("");
}
