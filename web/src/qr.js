// QR codes (ISO/IEC 18004) of bytes, error correction level M, versions 1 to 10: up to 213 bytes,
// which is more than any line this page shows. Pure: text in, rows of true and false out.

// By version: codewords in all, then error correction codewords of one block, then blocks.
const layouts = [
  [26, 10, 1], [44, 16, 1], [70, 26, 1], [100, 18, 2], [134, 24, 2],
  [172, 16, 4], [196, 18, 4], [242, 22, 4], [292, 22, 5], [346, 26, 5],
];
const alignments = [
  [], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46],
  [6, 28, 50],
];

// The field of 256 elements in which the error correction computes: powers and logarithms of 2.
const power = new Uint8Array(512);
const logarithm = new Uint8Array(256);
for (let exponent = 0, value = 1; exponent < 255; ++exponent) {
  power[exponent] = power[exponent + 255] = value;
  logarithm[value] = exponent;
  value = (value << 1) ^ (value & 128 ? 0x11d : 0);
}
const times = (a, b) => (a && b ? power[logarithm[a] + logarithm[b]] : 0);

function generator(degree) {
  let polynomial = [1];
  for (let root = 0; root < degree; ++root) {
    const next = [...polynomial, 0];
    polynomial.forEach((factor, place) => {
      next[place + 1] ^= times(factor, power[root]);
    });
    polynomial = next;
  }
  return polynomial.slice(1);
}

function correction(data, degree) {
  const divisor = generator(degree);
  const rest = new Uint8Array(degree);
  for (const byte of data) {
    const factor = byte ^ rest[0];
    rest.copyWithin(0, 1);
    rest[degree - 1] = 0;
    divisor.forEach((value, place) => {
      rest[place] ^= times(value, factor);
    });
  }
  return rest;
}

// The bytes as the standard packs them: mode, length, data, end, padding.
function packed(bytes, version, capacity) {
  const bits = [];
  const push = (value, count) => {
    for (let bit = count - 1; bit >= 0; --bit) bits.push((value >> bit) & 1);
  };
  push(4, 4);
  push(bytes.length, version < 10 ? 8 : 16);
  for (const byte of bytes) push(byte, 8);
  push(0, Math.min(4, capacity * 8 - bits.length));
  while (bits.length % 8) bits.push(0);
  for (let pad = 0xec; bits.length < capacity * 8; pad ^= 0xec ^ 0x11) push(pad, 8);
  const codewords = new Uint8Array(capacity);
  bits.forEach((bit, place) => {
    codewords[place >> 3] |= bit << (7 - (place & 7));
  });
  return codewords;
}

// Data and error correction, interleaved block by block.
function codewordsOf(data, [, degree, count]) {
  const short = Math.floor(data.length / count);
  const longer = data.length % count;
  const blocks = [];
  for (let block = 0, from = 0; block < count; ++block) {
    const to = from + short + (block >= count - longer ? 1 : 0);
    blocks.push(data.subarray(from, to));
    from = to;
  }
  const corrections = blocks.map((block) => correction(block, degree));
  const result = [];
  for (const group of [blocks, corrections])
    for (let place = 0; place <= short + degree; ++place)
      for (const block of group) if (place < block.length) result.push(block[place]);
  return result;
}

const cornerRings = [true, true, false, true, false];
const alignmentRings = [true, false, true];

// Draws what does not depend on the data, and notes what is taken.
function frame(size, version) {
  const dark = Array.from({ length: size }, () => new Array(size).fill(false));
  const taken = Array.from({ length: size }, () => new Array(size).fill(false));
  const set = (x, y, value) => {
    if (x < 0 || y < 0 || x >= size || y >= size) return;
    dark[y][x] = value;
    taken[y][x] = true;
  };
  // A square of rings around a centre; `rings` says from the centre outwards which are dark.
  const square = (cx, cy, rings) => {
    const radius = rings.length - 1;
    for (let dy = -radius; dy <= radius; ++dy)
      for (let dx = -radius; dx <= radius; ++dx)
        set(cx + dx, cy + dy, rings[Math.max(Math.abs(dx), Math.abs(dy))]);
  };
  for (let place = 0; place < size; ++place) {
    set(6, place, place % 2 === 0);
    set(place, 6, place % 2 === 0);
  }
  const centres = alignments[version - 1];
  const last = centres.length - 1;
  centres.forEach((x, column) => centres.forEach((y, row) => {
    const corner = (column === 0 && row === 0) || (column === 0 && row === last) ||
      (column === last && row === 0);
    if (!corner) square(x, y, alignmentRings);
  }));
  square(3, 3, cornerRings);
  square(size - 4, 3, cornerRings);
  square(3, size - 4, cornerRings);
  for (let place = 0; place < 9; ++place) {
    if (place !== 6) {
      set(8, place, false);
      set(place, 8, false);
    }
    if (place < 8) {
      set(size - 1 - place, 8, false);
      set(8, size - 1 - place, place === 7);
    }
  }
  if (version >= 7) {
    let rest = version;
    for (let step = 0; step < 12; ++step) rest = (rest << 1) ^ ((rest >> 11) * 0x1f25);
    const bits = (version << 12) | rest;
    for (let place = 0; place < 18; ++place) {
      const a = size - 11 + (place % 3);
      const b = Math.floor(place / 3);
      set(a, b, ((bits >> place) & 1) === 1);
      set(b, a, ((bits >> place) & 1) === 1);
    }
  }
  return { dark, taken, set };
}

const masks = [
  (x, y) => (x + y) % 2 === 0,
  (x, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

function drawCodewords({ dark, taken }, codewords, mask) {
  const size = dark.length;
  let bit = 0;
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; ++step)
      for (const x of [right, right - 1]) {
        const y = ((right + 1) & 2) === 0 ? size - 1 - step : step;
        if (taken[y][x]) continue;
        const value = bit < codewords.length * 8 &&
          ((codewords[bit >> 3] >> (7 - (bit & 7))) & 1) === 1;
        dark[y][x] = value !== mask(x, y);
        ++bit;
      }
  }
}

// Which mask was used, around two of the three corners; level M is 0.
function drawFormat({ dark, set }, mask) {
  const size = dark.length;
  let rest = mask;
  for (let step = 0; step < 10; ++step) rest = (rest << 1) ^ ((rest >> 9) * 0x537);
  const bits = ((mask << 10) | rest) ^ 0x5412;
  for (let place = 0; place < 15; ++place) {
    const value = ((bits >> place) & 1) === 1;
    if (place < 6) set(8, place, value);
    else if (place < 8) set(8, place + 1, value);
    else set(place === 8 ? 7 : 14 - place, 8, value);
    if (place < 8) set(size - 1 - place, 8, value);
    else set(8, size - 15 + place, value);
  }
}

// How hard a picture is to read for a camera: long runs, blocks, false corners, and imbalance.
function penalty(dark) {
  const size = dark.length;
  let sum = 0;
  let count = 0;
  const line = (at) => {
    let run = 0;
    let history = "";
    for (let place = 0; place < size; ++place) {
      run = place > 0 && at(place) === at(place - 1) ? run + 1 : 1;
      if (run === 5) sum += 3;
      else if (run > 5) ++sum;
      history += at(place) ? "1" : "0";
    }
    for (const corner of ["10111010000", "00001011101"])
      for (let from = history.indexOf(corner); from >= 0; from = history.indexOf(corner, from + 1))
        sum += 40;
  };
  for (let y = 0; y < size; ++y) {
    line((x) => dark[y][x]);
    line((x) => dark[x][y]);
    for (let x = 0; x < size; ++x) {
      count += dark[y][x];
      const same = x > 0 && y > 0 && dark[y][x] === dark[y][x - 1] &&
        dark[y][x] === dark[y - 1][x] && dark[y][x] === dark[y - 1][x - 1];
      if (same) sum += 3;
    }
  }
  return sum + Math.floor(Math.abs(count * 20 - size * size * 10) / (size * size)) * 10;
}

// Rows of booleans, true is dark; null if the text is too long.
export function qrCode(text) {
  const bytes = new TextEncoder().encode(text);
  for (let version = 1; version <= layouts.length; ++version) {
    const layout = layouts[version - 1];
    const capacity = layout[0] - layout[1] * layout[2];
    if (bytes.length + (version < 10 ? 2 : 3) > capacity) continue;
    const codewords = codewordsOf(packed(bytes, version, capacity), layout);
    const pictures = masks.map((mask, number) => {
      const picture = frame(17 + 4 * version, version);
      drawCodewords(picture, codewords, mask);
      drawFormat(picture, number);
      return picture.dark;
    });
    return pictures.reduce((best, next) => (penalty(next) < penalty(best) ? next : best));
  }
  return null;
}
