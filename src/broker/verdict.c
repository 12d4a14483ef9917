/* See the header. */
#include "broker/verdict.h"

#include "audit/audit.h"
#include "base/json.h"

#include <string.h>

#include "base/banned.h"

static uint64_t number(const json_t *object, const char *key)
{
    return (uint64_t) json_integer_value(json_object_get(object, key));
}

static bool is_intact(const json_t *verdict)
{
    return json_is_true(json_object_get(verdict, "intact"));
}

/* Steals both. */
static void fault(json_t *verdict, json_t *where, json_t *what)
{
    json_object_set_new(verdict, "intact", json_false());
    json_object_set_new(verdict, "where", where);
    json_object_set_new(verdict, "what", what);
}

/* The file's last head, read without a fault before it, is of another vault. Its place tells more than what it claims of the log. */
static void compare_key(json_t *verdict, const json_t *heads, const struct verdict_facts *facts)
{
    const char *key = json_get_str(heads, "key");

    if (!facts->vault_key || !number(heads, "line") || !json_is_true(json_object_get(heads, "is_last")) ||
        json_is_true(json_object_get(heads, "made_anew")) || (key && !strcmp(key, facts->vault_key)))
        return;
    fault(verdict, json_sprintf("heads.jsonl line %llu", (unsigned long long) number(heads, "line")),
        json_string("signed by another key than the vault's, which was not made anew since"));
}

static void compare_log(json_t *verdict, const struct verdict_facts *facts)
{
    uint64_t events = number(verdict, "events");
    const char *head = json_get_str(verdict, "head");
    bool is_cut = events < facts->seq;

    if (!is_intact(verdict) || events > facts->seq)
        return;
    if (!is_cut && head && !strcmp(head, facts->head))
        return;
    fault(verdict, json_sprintf("the end of the log, event %llu", (unsigned long long) events),
        json_sprintf(is_cut ? "cut: the daemon has written %llu events" : "edited: the daemon has written another event %llu",
            (unsigned long long) facts->seq));
}

static void compare_heads(json_t *verdict, const struct verdict_facts *facts)
{
    uint64_t seq = number(json_object_get(verdict, "anchor"), "seq");

    if (!is_intact(verdict) || seq >= facts->signed_seq)
        return;
    fault(verdict, json_string("heads.jsonl"),
        json_sprintf("cut: the head of event %llu was there while the daemon ran; the newest is of event %llu",
            (unsigned long long) facts->signed_seq, (unsigned long long) seq));
}

static void confirm(const json_t *verdict, const struct verdict_facts *facts)
{
    json_t *anchor = json_object_get(verdict, "anchor");
    const char *key = json_get_str(anchor, "key");
    bool confirmed = key && facts->vault_key && !strcmp(key, facts->vault_key);

    if (!json_is_object(anchor))
        return;
    json_object_set_new(anchor, "confirmed", json_boolean(confirmed));
    if (!confirmed)
        json_object_set_new(anchor, "unconfirmed",
            json_string(!facts->vault_key    ? "vault_locked"
                        : is_intact(verdict) ? "vault_made_anew"
                                             : "other_key"));
}

void verdict_compare(json_t *verdict, const struct verdict_facts *facts)
{
    CLEANUP_JSON json_t *heads = json_incref(json_object_get(verdict, "heads"));

    json_object_del(verdict, "heads");
    compare_key(verdict, heads, facts);
    compare_log(verdict, facts);
    compare_heads(verdict, facts);
    confirm(verdict, facts);
}
