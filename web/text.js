// Hostile bytes as text that cannot lie, as src/base/text.h does it for the terminal: control
// characters, bytes that are not UTF-8, bidirectional controls, invisible and look-alike spaces
// become visible marks; every argument stands in a box of its own; what is long is folded, with a
// count, and its end is shown.

import { h } from "./dom.js";

// Characters of a folded text that are shown from its beginning and its end, and its lines.
const FOLDS = {
  button: { head: 240, tail: 80, lines: 12 },
  cut: { head: 100, tail: 40, lines: 3 },
};
const SPARED = 40; // no text is folded to spare less
const ARGUMENTS = 40;
const STACKED = 2; // marks on one letter; more can cover the lines around them

// Everything that is no ordinary letter, sign or space. Bytes that are not UTF-8 are kept as lone
// surrogates (decode), which are of category C too.
const ODD = /[\p{C}\p{Default_Ignorable_Code_Point}\u2800\u{1d159}]|(?! )\p{Z}/u;
const COMBINING = /\p{M}/u;
// Enclosing marks and those that strike through: they change what they stand on.
const DISFIGURING = /[\p{Me}\u0334-\u0338\u20d2\u20d3\u20d8-\u20da\u20e5\u20e6\u20ea\u20eb]/u;
const LETTER = /\p{L}/u;
const RIGHT_TO_LEFT =
  /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;
const LATIN = /\p{Script=Latin}/u;
const LOOKS_LATIN = /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}\p{Script=Coptic}]/u;

const NAMES = {
  0x00: "null",
  0x07: "bell",
  0x08: "backspace",
  0x09: "tab",
  0x0a: "line feed",
  0x0d: "carriage return",
  0x1b: "escape: begins a terminal sequence",
  0x7f: "delete",
  0x9b: "control sequence introducer",
  0xa0: "no-break space",
  0xad: "soft hyphen",
  0x61c: "Arabic letter mark",
  0x200b: "zero width space",
  0x200c: "zero width non-joiner",
  0x200d: "zero width joiner",
  0x200e: "left-to-right mark",
  0x200f: "right-to-left mark",
  0x2028: "line separator",
  0x2029: "paragraph separator",
  0x202a: "left-to-right embedding",
  0x202b: "right-to-left embedding",
  0x202c: "pop directional formatting",
  0x202d: "left-to-right override",
  0x202e: "right-to-left override",
  0x2060: "word joiner",
  0x2066: "left-to-right isolate",
  0x2067: "right-to-left isolate",
  0x2068: "first strong isolate",
  0x2069: "pop directional isolate",
  0x3000: "ideographic space",
  0xfeff: "byte order mark",
};

// Bytes as a string; those that are not UTF-8 become U+DC80 to U+DCFF, which no UTF-8 holds.
function decodeBytes(bytes) {
  const pieces = [];
  let at = 0;
  while (at < bytes.length) {
    const size = sequenceSize(bytes, at);
    if (size === 0) {
      pieces.push(String.fromCharCode(0xdc00 + bytes[at]));
      at += 1;
    } else {
      let point = size === 1 ? bytes[at] : bytes[at] & (0x7f >> size);
      for (let i = 1; i < size; i += 1) point = (point << 6) | (bytes[at + i] & 0x3f);
      pieces.push(String.fromCodePoint(point));
      at += size;
    }
  }
  return pieces.join("");
}

// Bytes of the well-formed UTF-8 sequence at `at` (RFC 3629), or 0.
function sequenceSize(bytes, at) {
  const first = bytes[at];
  if (first < 0x80) return 1;
  const size = first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3
    : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  if (size === 0 || at + size > bytes.length) return 0;
  for (let i = 1; i < size; i += 1) if ((bytes[at + i] & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1];
  if ((first === 0xe0 && second < 0xa0) || (first === 0xed && second > 0x9f)) return 0;
  if ((first === 0xf0 && second < 0x90) || (first === 0xf4 && second > 0x8f)) return 0;
  return size;
}

// A text of the API (a string, or {"base64": …} for bytes that are not UTF-8) as a string.
export function decode(value) {
  if (typeof value === "string") return value;
  if (value && typeof value.base64 === "string") {
    return decodeBytes(Uint8Array.from(atob(value.base64), (character) => character.charCodeAt(0)));
  }
  return value === null || value === undefined ? "" : String(value);
}

function escape(point) {
  if (point === 0x0a) return "\\n";
  if (point === 0x09) return "\\t";
  if (point === 0x0d) return "\\r";
  if (point >= 0xdc80 && point <= 0xdcff) return `\\x${(point - 0xdc00).toString(16)}`;
  if (point < 0x80) return `\\x${point.toString(16).padStart(2, "0")}`;
  return `\\u{${point.toString(16)}}`;
}

function nameOf(point) {
  if (NAMES[point]) return NAMES[point];
  if (point >= 0xdc80 && point <= 0xdcff) return "a byte that is not UTF-8";
  if (COMBINING.test(String.fromCodePoint(point))) return "a combining character out of place";
  return "a control or invisible character";
}

function mark(point) {
  return h("span", { class: "mark", title: nameOf(point) }, escape(point));
}

// Letters of another alphabet inside a word of Latin letters, such as a Cyrillic "а" in "main".
function lookAlikes(text) {
  const found = new Set();
  for (const match of text.matchAll(/\p{L}+/gu)) {
    if (!LATIN.test(match[0]) || !LOOKS_LATIN.test(match[0])) continue;
    let at = match.index;
    for (const character of match[0]) {
      if (LOOKS_LATIN.test(character)) found.add(at);
      at += character.length;
    }
  }
  return found;
}

// Nodes that show a string; the caller has folded it. `breaks`: lines break where the text's do.
function nodes(text, breaks) {
  const result = [];
  const foreign = lookAlikes(text);
  let plain = "";
  let room = 0; // for further marks on the last letter
  let at = 0;
  const flush = () => {
    if (plain) result.push(plain);
    plain = "";
  };
  for (const character of text) {
    const combining = COMBINING.test(character);
    const odd = ODD.test(character)
      || (combining && (room === 0 || DISFIGURING.test(character)));
    if (!combining) room = LETTER.test(character) ? STACKED : 0;
    else if (room > 0) room -= 1;
    if (odd) {
      flush();
      result.push(mark(character.codePointAt(0)));
      if (breaks && character === "\n" && at + 1 < text.length) result.push(h("br"));
    } else if (foreign.has(at)) {
      flush();
      const code = character.codePointAt(0).toString(16);
      result.push(h("span", { class: "mark foreign", title: `U+${code}: not a Latin letter` },
        character));
    } else {
      plain += character;
    }
    at += character.length;
  }
  flush();
  return result;
}

// Where to cut so that no pair of surrogates is split.
function boundary(text, at) {
  const code = text.charCodeAt(at);
  const before = text.charCodeAt(at - 1);
  return code >= 0xdc00 && code <= 0xdfff && before >= 0xd800 && before <= 0xdbff ? at - 1 : at;
}

function isLong(text, { head, tail, lines }) {
  return text.length > head + tail + SPARED || text.split("\n", lines + 2).length > lines + 1;
}

// Where the part ends that is shown from the beginning of a long text.
function headEnd(text, { head, lines }) {
  let at = -1;
  for (let line = 0; line < Math.ceil(lines / 2); line += 1) {
    at = text.indexOf("\n", at + 1);
    if (at < 0 || at > head) return boundary(text, Math.min(head, text.length));
  }
  return at + 1;
}

// Where the part begins that is shown from its end.
function tailStart(text, from, { tail, lines }) {
  const last = text.slice(Math.max(from, text.length - tail)).split("\n");
  const kept = last.slice(-Math.max(1, Math.floor(lines / 2))).join("\n");
  return boundary(text, text.length - kept.length);
}

function count(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

// A text of the API in a span that isolates it from its surroundings. `fold`: "button" folds what
// is long behind a button, "cut" only says how much is left out, "never" shows everything.
export function shown(value, { fold = "cut", breaks = false } = {}) {
  const span = h("span", { class: "text", dir: "ltr" });
  fill(span, decode(value), fold, breaks);
  return span;
}

function fill(element, text, fold, breaks) {
  if (RIGHT_TO_LEFT.test(text)) element.classList.add("rtl");
  const size = FOLDS[fold];
  if (!size || !isLong(text, size)) {
    element.replaceChildren(...nodes(text, breaks));
    return;
  }
  const head = headEnd(text, size);
  const tail = tailStart(text, head, size);
  const left = tail - head;
  const middle = fold === "button"
    ? h("button", {
      type: "button",
      class: "fold",
      onclick: () => {
        fill(element, text, "never", breaks);
        element.append(" ", h("button", {
          type: "button", class: "fold", onclick: () => fill(element, text, fold, breaks),
        }, "fold"));
      },
    }, `… show ${count(left, "more character", "more characters")} …`)
    : h("span", { class: "cut" }, `…(+${left.toLocaleString("en")})…`);
  element.replaceChildren(...nodes(text.slice(0, head), breaks), middle,
    ...nodes(text.slice(tail), breaks));
}

function argument(value, index, fold) {
  const text = decode(value);
  const element = h("span", { class: index === 0 ? "arg arg-0" : "arg", dir: "ltr" });
  if (text === "") {
    element.classList.add("arg-empty");
    element.setAttribute("title", "an empty argument");
    element.append("''");
  } else {
    fill(element, text, fold, true);
    if (element.classList.contains("rtl")) {
      element.title = "holds right-to-left letters; shown in the order of its characters";
    }
  }
  return h("li", {}, element);
}

// A command: one box for each argument. `more`: arguments that the warden did not send.
export function commandBoxes(argv, more = 0, fold = "button") {
  const list = h("ul", { class: "argv", "aria-label": "the command, argument by argument" });
  const values = Array.isArray(argv) ? argv : [];
  const first = values.length > ARGUMENTS + 10 ? values.slice(0, ARGUMENTS) : values;
  list.append(...first.map((value, index) => argument(value, index, fold)));
  const hidden = values.length - first.length;
  if (hidden > 0) {
    const button = h("button", {
      type: "button",
      class: "fold",
      onclick: () => button.parentElement.replaceWith(
        ...values.slice(first.length).map((value, index) => argument(value, index + 1, fold))),
    }, `… show ${count(hidden, "more argument", "more arguments")}`);
    list.append(h("li", {}, fold === "button" ? button
      : h("span", { class: "cut" }, `…(+${count(hidden, "argument", "arguments")})`)));
  }
  if (more > 0) {
    list.append(h("li", {}, h("span", { class: "cut warn" },
      `${count(more, "argument is", "arguments are")} too long to be shown here`)));
  }
  return list;
}

// One line for names, titles and announcements, where there can be no elements.
export function plain(value, most = 120) {
  const text = decode(value);
  const cut = text.length > most ? text.slice(0, boundary(text, most)) : text;
  let result = "";
  for (const character of cut) {
    result += ODD.test(character) ? escape(character.codePointAt(0)) : character;
  }
  return cut.length < text.length ? `${result}…` : result;
}
