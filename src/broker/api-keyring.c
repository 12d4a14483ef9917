/*
 * Whom the person trusts. A key is trusted only together with its fingerprint as it was shown: POST without one
 * fetches and tells, POST with one decides.
 */
#include "broker/broker.h"

#include "base/json.h"
#include "base/magic.h"
#include "broker/acquire.h"
#include "broker/sync.h"
#include "store/keyring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define TRUST_MAGIC   0x74727573u
#define KEY_BYTES     (16 * 1024)
#define PUBLISHER_KEY "keys/publisher.pub"

struct trust {
    uint32_t magic;
    struct broker *broker;
    struct api_reply *reply;
    char authority[KEYRING_AUTHORITY_MAX], url[RELEASE_URL_MAX];
    char *fingerprint; /* NULL: only to be told */
    bool revokes;
    struct keyring_key key;
    struct forge_get *get;
};

static void trust_free(struct trust *trust)
{
    if (!trust)
        return;
    free(trust->fingerprint);
    free(trust);
}
DEFINE_CLEANUP_PTR(struct trust, trust_free)

static void refuse(struct trust *trust, int status, const char *code, const struct err *err)
{
    struct api_reply *reply = trust->reply;

    trust_free(trust);
    api_reply_error(reply, status, code, err->message[0] ? err->message : "out of memory", err->hint[0] ? err->hint : NULL);
}

void api_keyring_list(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP_PTR(keyring_free) struct keyring *keyring = NULL;
    struct err err = ERR_INIT;

    if (keyring_load(broker->home->path, &keyring, &err) < 0)
        api_reply_error(reply, 500, "invalid_keyring", err.message, err.hint[0] ? err.hint : NULL);
    else
        api_reply_send(reply, 200, json_pack("{s:o}", "publishers", keyring_list(keyring)));
}

/* ---- the effect, after the receipt ---- */

/* Removes the key of that fingerprint, or all keys; how many. */
static int keys_remove(struct keyring *keyring, const struct trust *trust)
{
    CLEANUP_JSON json_t *list = keyring_list(keyring);
    const json_t *item = NULL;
    size_t i = 0;
    int removed = 0;

    if (!trust->fingerprint)
        return keyring_remove(keyring, trust->authority, NULL);
    json_array_foreach(list, i, item)
    {
        const char *text = json_get_str(item, "key");
        struct keyring_key key;

        if (!strcmp(json_get_str(item, "authority"), trust->authority) &&
            !strcmp(json_get_str(item, "fingerprint"), trust->fingerprint) &&
            keyring_key_read(text, strlen(text), &key, NULL) == 0)
            removed += keyring_remove(keyring, trust->authority, &key);
    }
    return removed;
}

static int effect(struct trust *trust, int *ret_count, struct err *err)
{
    CLEANUP_PTR(keyring_free) struct keyring *keyring = NULL;
    int r = keyring_load(trust->broker->home->path, &keyring, err);

    if (r == 0) {
        *ret_count = trust->revokes ? keys_remove(keyring, trust) : 1;
        r = trust->revokes ? 0 : keyring_add(keyring, trust->authority, &trust->key, err);
    }
    return r < 0 ? r : keyring_save(keyring, trust->broker->home->path, err);
}

static void on_durable(int result, void *userdata)
{
    struct trust *trust = MAGIC_CAST(struct trust, userdata, TRUST_MAGIC);
    struct err err = ERR_INIT;
    int count = 0;

    if (result < 0)
        err_errno(&err, -result, "the receipt could not be brought to disk");
    else
        result = effect(trust, &count, &err);
    if (result < 0) {
        refuse(trust, 500, "not_stored", &err);
        return;
    }
    broker_actions_changed(trust->broker);
    json_t *body = trust->revokes ? json_pack("{s:s, s:i}", "authority", trust->authority, "revoked", count)
                                  : json_pack("{s:s, s:s, s:b}", "authority", trust->authority, "fingerprint", trust->fingerprint,
                                        "trusted", 1);
    struct api_reply *reply = trust->reply;
    trust_free(trust);
    api_reply_send(reply, 200, body);
}

static void commit(struct trust *trust)
{
    struct err err = ERR_INIT;
    json_t *payload = json_pack("{s:s, s:s}", "aileron.keyring.authority", trust->authority, "aileron.keyring.fingerprint",
        trust->fingerprint ? trust->fingerprint : "all");
    int r = broker_receipt_owner(trust->broker, trust->revokes ? "keyring.revoked" : "keyring.trusted", payload, NULL, &err);

    if (r == 0)
        r = receipts_durable(trust->broker->receipts, on_durable, trust, NULL);
    if (r < 0) {
        struct api_reply *reply = trust->reply;

        trust_free(trust);
        broker_no_receipt(reply, &err);
    }
}

/* ---- trusting ---- */

/* The key is known: tell it, or trust it when exactly this fingerprint was given. */
static void decide(struct trust *trust)
{
    char fingerprint[KEYRING_FINGERPRINT_MAX];
    struct err err = ERR_INIT;

    keyring_fingerprint(&trust->key, fingerprint);
    if (!trust->fingerprint) {
        struct api_reply *reply = trust->reply;
        json_t *body = json_pack("{s:s, s:s, s:s*, s:b}", "authority", trust->authority, "fingerprint", fingerprint, "url",
            trust->url[0] ? trust->url : NULL, "trusted", 0);

        trust_free(trust);
        api_reply_send(reply, 200, body);
    } else if (strcmp(trust->fingerprint, fingerprint) != 0) {
        err_set(&err, EINVAL, "the key has the fingerprint %s, not %.80s", fingerprint, trust->fingerprint);
        refuse(trust, 409, "other_key", &err);
    } else {
        commit(trust);
    }
}

static void on_key(int result, const void *data, size_t len, const struct err *err, void *userdata)
{
    struct trust *trust = MAGIC_CAST(struct trust, userdata, TRUST_MAGIC);
    struct err ours = ERR_INIT;

    trust->get = NULL;
    if (result < 0) {
        refuse(trust, result == -ENOENT ? 404 : 502, result == -ENOENT ? "not_found" : "network", err);
    } else if (keyring_key_read(data, len, &trust->key, &ours) < 0) {
        err_prefix(&ours, "%s", trust->url);
        refuse(trust, 422, "invalid_key", &ours);
    } else {
        decide(trust);
    }
}

static int key_ask(struct trust *trust, struct err *err)
{
    struct release_ref ref;
    char text[KEYRING_AUTHORITY_MAX + 16], what[KEYRING_AUTHORITY_MAX + 64];
    const struct forge_request request = { .url = trust->url, .what = what, .bytes_max = KEY_BYTES };
    int r = 0;

    snprintf(text, sizeof text, "%s@latest", trust->authority);
    r = release_parse(text, RELEASE_THING, &ref, err);
    if (r == 0 && ref.subpath[0])
        r = err_set(err, EINVAL, "a key is trusted for a repository or an owner, not for a path in it");
    if (r < 0)
        return r;
    release_raw_url(&ref, "HEAD", PUBLISHER_KEY, trust->url);
    snprintf(what, sizeof what, "the publisher's key of %s (" PUBLISHER_KEY ")", trust->authority);
    return forge_get(trust->broker->forge, &request, on_key, NULL, trust, &trust->get, err);
}

static struct trust *trust_new(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const char *authority = json_get_str(request->body, "authority"), *fingerprint = json_get_str(request->body, "fingerprint");
    struct trust *trust = calloc(1, sizeof *trust);

    if (!trust || !authority ||
        (size_t) snprintf(trust->authority, sizeof trust->authority, "%s", authority) >= sizeof trust->authority) {
        trust_free(trust);
        api_reply_error(reply, 400, "bad_request", "the body needs \"authority\": github://OWNER or github://OWNER/REPO", NULL);
        return NULL;
    }
    trust->magic = TRUST_MAGIC;
    trust->broker = broker;
    trust->reply = reply;
    trust->fingerprint = fingerprint ? strdup(fingerprint) : NULL;
    return trust;
}

void api_keyring_trust(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const char *key = json_get_str(request->body, "key");
    struct trust *trust = trust_new(broker, request, reply);
    CLEANUP_PTR(keyring_free) struct keyring *probe = NULL;
    struct err err = ERR_INIT;
    int r = 0;

    if (!trust)
        return;
    if (!key)
        r = key_ask(trust, &err);
    else if ((r = keyring_key_read(key, strlen(key), &trust->key, &err)) == 0 &&
             (r = keyring_parse("{\"version\":2}", 13, "", &probe, &err)) == 0 &&
             (r = keyring_add(probe, trust->authority, &trust->key, &err)) == 0)
        decide(trust);
    if (r < 0)
        refuse(trust, 400, "bad_request", &err);
}

void api_keyring_revoke(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    struct trust *trust = trust_new(broker, request, reply);

    CLEANUP_PTR(keyring_free) struct keyring *keyring = NULL;
    struct err err = ERR_INIT;

    if (!trust)
        return;
    trust->revokes = true;
    if (keyring_load(broker->home->path, &keyring, &err) < 0) {
        refuse(trust, 500, "invalid_keyring", &err);
    } else if (keys_remove(keyring, trust) > 0) { /* of this copy, to see whether there is anything */
        commit(trust);
    } else {
        json_t *body = json_pack("{s:s, s:i}", "authority", trust->authority, "revoked", 0);

        trust_free(trust);
        api_reply_send(reply, 200, body);
    }
}
