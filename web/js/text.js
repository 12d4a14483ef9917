/*
 * Text from elsewhere, made honest: what cannot be seen, what turns the order of reading, letters that pass for others and
 * blank space that pushes the rest out of sight become marks. Pure: a string in, parts out; nothing here knows the page.
 */

// Said by name, since it is these that people are deceived with.
const NAMES = new Map([
  [0x00a0, "no-break space"], [0x00ad, "soft hyphen"], [0x034f, "grapheme joiner"], [0x061c, "Arabic letter mark"],
  [0x180e, "Mongolian vowel separator"], [0x200b, "zero-width space"], [0x200c, "zero-width non-joiner"],
  [0x200d, "zero-width joiner"], [0x200e, "left-to-right mark"], [0x200f, "right-to-left mark"], [0x2028, "line separator"],
  [0x2029, "paragraph separator"], [0x202a, "left-to-right embedding"], [0x202b, "right-to-left embedding"],
  [0x202c, "end of direction"], [0x202d, "left-to-right override"], [0x202e, "right-to-left override"],
  [0x2060, "word joiner"], [0x2066, "left-to-right isolate"], [0x2067, "right-to-left isolate"],
  [0x2068, "first-strong isolate"], [0x2069, "end of isolate"], [0x2800, "blank braille"], [0x3164, "Hangul filler"],
  [0xfeff, "byte order mark"], [0x000d, "carriage return"], [0x001b, "escape"], [0x0000, "null"],
]);

// Controls, formats, lone surrogates, private and unassigned characters, odd spaces, and letters that have no shape.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u;
const PLAIN = /^[\x20-\x7e\n\t]*$/;
const LATIN = /\p{Script=Latin}/u;
// Beside Latin in one word these are usual; every other script there is not.
const FRIENDS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\p{Script=Common}\p{Script=Inherited}]/u;
const SCRIPTS = ["Cyrillic", "Greek", "Armenian", "Cherokee", "Lisu", "Coptic", "Hebrew", "Arabic", "Georgian", "Thai", "Devanagari"]
  .map(name => new RegExp(`\\p{Script=${name}}`, "u"));
const WORD = /[\p{L}\p{M}\p{N}]+/gu;
// Letters of other scripts that look like Latin ones in most faces.
const TWINS = new Set("аԁеһіӏјкӏոорԛгѕсуѵѡхԝзАВЕЅІЈКМНОРԚСТՍУХԜҮүαινορτυχωϲϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹͿոսօցհյ");
// Latin letters beyond the usual ones that look like them.
const LATIN_TWINS = /[\u0131\u0237\u0251\u0261\u0269\u026a\u0274\u0280\u028b\u028f\u0299\u029c\u029f\u1d00-\u1d22\ua731\u0138\u01c0\u01c3\u0185\u01bd]/;
const TWIN_SIGNS = /[\u2024\u2044\u2215\u29f8\u2236\ua789\u02d0\ua78f\u01c3\u2027\u30fb]/;
const STACK_MAX = 3, EMPTY_LINES_MAX = 4, SPACES_MAX = 160;

export function codePoint(character) {
  return "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
}

const nameOf = character => {
  const code = character.codePointAt(0);
  if (code >= 0xe0020 && code <= 0xe007e)
    return `hidden “${String.fromCharCode(code - 0xe0000)}”`;
  return NAMES.get(code) ?? "a character that cannot be seen";
};

// Full-width, mathematical and other dressed-up forms of an ASCII letter or digit, or of a sign that has a meaning in addresses.
function isDressed(character, latin) {
  const bare = character.normalize("NFKC");
  return bare !== character && (/^[A-Za-z0-9]$/.test(bare) ? !/[\u00b2\u00b3\u00b9\u00aa\u00ba\u2070-\u209c]/.test(character) : latin && /^[@./:]$/.test(bare));
}

const scriptOf = letter => LATIN.test(letter) ? -1 : SCRIPTS.findIndex(script => script.test(letter));

/*
 * Which letters of a word pose: those of another script than its first one (Latin, if it has any), or the whole word when it has
 * only letters with Latin twins and stands where Latin is written (`amongLatin`).
 */
function posing(word, amongLatin) {
  const letters = [...word].filter(one => !FRIENDS.test(one) && /\p{L}/u.test(one));
  const scripts = new Set(letters.map(scriptOf));
  if (scripts.size > 1) {
    const own = scripts.has(-1) ? -1 : scriptOf(letters[0]);
    return one => /\p{L}/u.test(one) && !FRIENDS.test(one) && scriptOf(one) !== own;
  }
  if (amongLatin && letters.length && !scripts.has(-1) && letters.every(one => TWINS.has(one)))
    return one => TWINS.has(one);
  return null;
}

/* The indices (in UTF-16 units) of a token at which a posing character stands. `latinText`: nothing else is written in this text. */
function posersOf(token, latinText) {
  const found = new Set(), latin = LATIN.test(token);
  for (const { 0: word, index } of token.matchAll(WORD)) {
    const poses = posing(word, latin || (latinText && word.length > 2));
    const digits = /[0-9]/.test(word) || latin;
    let at = index;
    for (const one of word) {
      if (poses?.(one) || (LATIN_TWINS.test(one) && /[A-Za-z]/.test(word)) || (digits && /\p{Nd}/u.test(one) && one > "9"))
        found.add(at);
      at += one.length;
    }
  }
  return { found, latin };
}

// What shapes an emoji is no secret: one variation selector after it, one joiner between two.
function isEmojiPart(token, at, character) {
  if (character !== "\ufe0f" && character !== "\u200d")
    return false;
  const before = token.slice(Math.max(at - 2, 0), at);
  if (character === "\ufe0f")
    return /[\p{Extended_Pictographic}#*0-9]$/u.test(before);
  return /[\p{Extended_Pictographic}\ufe0f\u{1f3fb}-\u{1f3ff}]$/u.test(before) && /^\p{Extended_Pictographic}/u.test(token.slice(at + 1, at + 3));
}

class Parts {
  list = [];
  run = "";

  mark(mark, character) {
    const last = this.list.at(-1);
    if (!this.run && mark.kind === "unseen" && last?.of === character) {
      last.times++;
      last.text = `${mark.text} ×${last.times}`;
      return;
    }
    this.end();
    this.list.push({ ...mark, of: character, times: 1 });
  }

  end() {
    if (this.run)
      this.list.push({ text: this.run });
    this.run = "";
  }
}

// Space that is only there to hide what follows. True when it was one.
function markBlank(token, into) {
  const lines = token.split("\n").length - 2;
  if (lines > EMPTY_LINES_MAX && /^[\n\t ]*$/.test(token)) {
    into.run += "\n";
    into.mark({ text: `${lines} empty lines`, kind: "blank", about: `${lines} empty lines` }, "\n");
    into.run += "\n" + token.slice(token.lastIndexOf("\n") + 1);
    return true;
  }
  if (token.length > SPACES_MAX && /^[ \t]+$/.test(token)) {
    into.run += " ";
    into.mark({ text: `${token.length} spaces`, kind: "blank", about: `${token.length} spaces` }, " ");
    into.run += " ";
    return true;
  }
  return false;
}

function markToken(token, latinText, into) {
  if (PLAIN.test(token)) {
    if (!markBlank(token, into))
      into.run += token;
    return;
  }
  const { found, latin } = posersOf(token, latinText);
  let stacked = 0, at = 0;
  for (const character of token) {
    stacked = /\p{M}/u.test(character) ? stacked + 1 : 0;
    if (character === "\n" || character === "\t")
      into.run += character;
    else if (UNSEEN.test(character) && !isEmojiPart(token, at, character))
      into.mark({ text: codePoint(character), kind: "unseen", about: nameOf(character) }, character);
    else if (stacked > STACK_MAX)
      into.mark({ text: codePoint(character), kind: "unseen", about: "one of many marks on one letter" }, character);
    else if (found.has(at) || (latin && TWIN_SIGNS.test(character)) || isDressed(character, latin))
      into.mark({ text: character, kind: "posing", about: `${codePoint(character)} looks like another character` }, character);
    else
      into.run += character;
    at += character.length;
  }
}

// No letter of another alphabet but such as have Latin twins: then a word of twins is no word of that alphabet.
function isLatinText(text) {
  for (const { 0: letter } of text.matchAll(/\p{L}/gu))
    if (!LATIN.test(letter) && !TWINS.has(letter) && !FRIENDS.test(letter))
      return false;
  return true;
}

/* The parts of a text in order: {text} as it is, or {text, kind, about, times} for marks: unseen, posing or blank. */
export function parts(input) {
  const text = String(input);
  if (PLAIN.test(text) && !/\n[\n\t ]{4,}|[ \t]{160}/.test(text))
    return text ? [{ text }] : [];
  const into = new Parts(), latinText = isLatinText(text);
  for (const token of text.split(/([ \t\n]+)/))
    markToken(token, latinText, into);
  into.end();
  return into.list.map(({ text, kind, about, times }) => kind ? { text, kind, about, times } : { text });
}

/* What of it was marked: [[about, how often]…], the most frequent first. */
export function marked(list) {
  const counts = new Map();
  for (const { kind, about, times } of list)
    if (kind)
      counts.set(about, (counts.get(about) ?? 0) + times);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/* The same in one line of plain text, for a title or a label. */
export function plain(input, max = 200) {
  const whole = parts(String(input).slice(0, 4 * max)).map(part => part.kind === "posing" ? `‹${codePoint(part.text)} ${part.text}›` : part.kind ? `‹${part.text}›` : part.text).join("");
  const line = whole.replace(/\s+/g, " ");
  return line.length > max || String(input).length > 4 * max ? line.slice(0, max) + "…" : line;
}
