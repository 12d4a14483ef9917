/*
 * Text from elsewhere, made honest: what cannot be seen, what turns the order of reading, and letters that pass for others
 * become marks. Pure: a string in, parts out; nothing here knows the page.
 */

// Shown by name, since it is these that people are deceived with.
const NAMES = new Map([
  [0x00ad, "soft hyphen"], [0x034f, "grapheme joiner"], [0x061c, "Arabic letter mark"], [0x200b, "zero-width space"],
  [0x200c, "zero-width non-joiner"], [0x200d, "zero-width joiner"], [0x200e, "left-to-right mark"],
  [0x200f, "right-to-left mark"], [0x202a, "left-to-right embedding"], [0x202b, "right-to-left embedding"],
  [0x202c, "end of direction"], [0x202d, "left-to-right override"], [0x202e, "right-to-left override"],
  [0x2060, "word joiner"], [0x2066, "left-to-right isolate"], [0x2067, "right-to-left isolate"],
  [0x2068, "first-strong isolate"], [0x2069, "end of isolate"], [0xfeff, "byte order mark"], [0x00a0, "no-break space"],
  [0x2028, "line separator"], [0x2029, "paragraph separator"], [0x3164, "Hangul filler"], [0x2800, "blank braille"],
]);

// Controls, formats, lone surrogates, private and unassigned characters, odd spaces, and letters that have no shape.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u;
const PLAIN = /^[\x20-\x7e\n\t]*$/;
const LATIN = /[A-Za-z\u00c0-\u024f]/;
// Scripts with letters that look like Latin ones.
const POSING = /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}\p{Script=Lisu}]/u;
const POSING_SIGNS = /[\u2024\u2044\u2215\u29f8\u2236\ua789\u02d0\ua78f\u01c3\u2027\u30fb]/;
const STACK_MAX = 3;

export function codePoint(character) {
  return "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
}

// Full-width, mathematical and other dressed-up forms of an ASCII letter or of a sign that has a meaning in addresses.
function isDressed(character) {
  const plain = character.normalize("NFKC");
  return plain !== character && /^[A-Za-z@./:]$/.test(plain);
}

function markOf(character, token, stacked) {
  if (character === "\n" || character === "\t")
    return null;
  if (UNSEEN.test(character))
    return { text: codePoint(character), kind: "unseen", about: NAMES.get(character.codePointAt(0)) ?? "a character that cannot be seen" };
  if (stacked > STACK_MAX)
    return { text: codePoint(character), kind: "unseen", about: "one of many marks on one letter" };
  if ((LATIN.test(token) && POSING.test(character)) || POSING_SIGNS.test(character) || isDressed(character))
    return { text: character, kind: "posing", about: `${codePoint(character)} looks like another character` };
  return null;
}

/*
 * The parts of a text in order: {text} as it is, or {text, kind, about} for one marked character. A letter of another script
 * counts as posing when its word (up to the next space) also has Latin letters.
 */
export function parts(input) {
  const text = String(input);
  if (PLAIN.test(text))
    return text ? [{ text }] : [];
  const found = [];
  let run = "";
  for (const token of text.split(/(\s+)/)) {
    let stacked = 0;
    for (const character of token) {
      stacked = /\p{M}/u.test(character) ? stacked + 1 : 0;
      const mark = markOf(character, token, stacked);
      if (!mark) {
        run += character;
        continue;
      }
      if (run)
        found.push({ text: run });
      run = "";
      found.push(mark);
    }
  }
  if (run)
    found.push({ text: run });
  return found;
}

/* The same in one line of plain text, for a title or a label. */
export function plain(input, max = 200) {
  const whole = parts(input).map(part => part.kind === "unseen" ? `‹${part.text}›` : part.kind ? `‹${codePoint(part.text)} ${part.text}›` : part.text).join("");
  const line = whole.replace(/\s+/g, " ");
  return line.length > max ? line.slice(0, max) + "…" : line;
}
