/*
 * The list of those that wait, kept as the daemon has it: who has waited longest is at the head, so a new one moves nothing. An
 * event only names which approval to ask for, and answers overtake each other; so every question has its number (asking()), of two
 * answers about one approval the later question's counts, and what an event names while a list is on its way is asked for again.
 */
import { get } from "./api.js";
import { base } from "./card.js";
import { listen } from "./live.js";
import { asking, setWaiting, useEffect, useRef, useState, useWaiting } from "./ui.js";

const AT_ONCE = 30, LIMIT = 1000, ONE_BY_ONE = 20, NEWS_MAX = 4, GATHER_MS = 30, DOUBT_MS = 1000;

/* `now` in its place; `moved` counts what others may have moved by (a card that changes may be taller or smaller), `news` is what became of those that left, newest first. */
function placed({ list, moved, news, ...rest }, now, isMine) {
  const at = list.findIndex(one => one.id === now.id), others = list.filter(one => one.id !== now.id);
  // One that asks again comes back where it was: ids are in the order of asking.
  const later = others.findIndex(one => one.id > now.id), to = at >= 0 ? at : later < 0 ? others.length : later;
  const isPending = now.state === "pending", otherNews = news.filter(one => one.id !== now.id);
  if (isPending)
    others.splice(to, 0, now);
  const left = !isPending && (at >= 0 || isMine || otherNews.length < news.length);
  return {
    ...rest, list: others, moved: moved + (at >= 0 || (isPending && to < others.length - 1)),
    news: left ? [now, ...otherNews].slice(0, NEWS_MAX) : otherNews,
  };
}

/* What this window knows of questions and answers. */
class Book {
  mine = new Set(); // ids decided here
  deciding = new Set(); // ids being decided here: the answer says enough
  named = new Set(); // ids that events named and nobody has asked for yet
  told = new Map(); // id → when an event named it, while a list is on its way
  shown = new Map(); // id → the question whose answer is shown
  lists = 0; // on their way

  /* Does an answer to this question say something new of this id? */
  takes(id, asked) {
    if ((this.shown.get(id) ?? 0) > asked)
      return false;
    this.shown.set(id, asked);
    return true;
  }
}

export function usePending() {
  const waiting = useWaiting();
  const [state, setState] = useState({ list: null, moved: 0, news: [] });
  const now = useRef(), book = useRef(null);
  book.current ??= new Book();
  now.current = { ...state, waiting };
  const { mine, deciding, named, told } = book.current;

  const failed = error => setState(before => ({ ...before, error }));
  const put = (one, asked = asking()) => {
    if (book.current.takes(one.id, asked))
      setState(before => before.list ? { ...placed(before, one, mine.has(one.id)), error: null } : before);
  };
  const askOne = id => {
    const asked = asking();
    return get(base(id)).then(one => deciding.has(id) || put(one, asked), load);
  };
  /* merge(list so far, what the daemon said) → the list */
  const askMany = async (limit, after, merge) => {
    const asked = asking();
    book.current.lists++;
    try {
      const { approvals, pending } = await get(`/v1/approvals?status=pending&order=oldest&limit=${limit}${after ? `&after=${encodeURIComponent(after)}` : ""}`);
      const news = approvals.filter(one => book.current.takes(one.id, asked));
      setWaiting(pending, asked);
      setState(before => ({ ...before, ...merge(before, news, asked), error: null }));
      approvals.filter(one => (told.get(one.id) ?? 0) > asked).forEach(one => askOne(one.id));
    } catch (error) {
      failed(error);
    }
    if (--book.current.lists === 0)
      told.clear();
  };
  const isNewer = (one, asked) => (book.current.shown.get(one.id) ?? 0) > asked;
  const inOrder = list => [...new Map(list.map(one => [one.id, one])).values()].sort((a, b) => a.id < b.id ? -1 : 1);
  function load() {
    const limit = Math.min(Math.max(now.current.list?.length ?? 0, AT_ONCE), LIMIT);
    return askMany(limit, "", ({ list, moved }, news, asked) => ({ list: inOrder([...(list ?? []).filter(one => isNewer(one, asked)), ...news]), moved: moved + 1 }));
  }
  const more = () => askMany(AT_ONCE, now.current.list.at(-1)?.id, ({ list }, news) => ({ list: inOrder([...list, ...news]) }));

  useEffect(() => {
    let timer = null;
    const isKnown = id => [...now.current.list, ...now.current.news].some(one => one.id === id) || mine.has(id);
    const ask = () => {
      // Those behind the end of an unfinished list only count.
      const { list } = now.current, ids = [...named].filter(id => list && (isKnown(id) || list.length >= now.current.waiting));
      named.clear();
      timer = null;
      if (!list || ids.length > ONE_BY_ONE)
        load();
      else
        ids.forEach(askOne);
    };
    load();
    const stop = listen((type, data) => {
      if (type === "state" || (type === "approval" && !data.id))
        load();
      else if (type === "approval") {
        named.add(data.id);
        told.set(data.id, asking());
        timer ??= setTimeout(ask, GATHER_MS);
      }
    });
    return () => { stop(); clearTimeout(timer); };
  }, []);

  const length = state.list?.length ?? 0, left = state.list ? Math.max(waiting - length, 0) : 0;
  useEffect(() => { left > 0 && length < AT_ONCE && more(); }, [left > 0 && length]);
  // More cards than wait: something was missed.
  useEffect(() => {
    const timer = length > waiting && setTimeout(load, DOUBT_MS);
    return () => clearTimeout(timer);
  }, [length, waiting]);
  const onDeciding = (id, yes) => {
    if (yes)
      deciding.add(id);
    else if (deciding.delete(id))
      askOne(id);
  };
  return { ...state, left, more, put, onDeciding, mine };
}
