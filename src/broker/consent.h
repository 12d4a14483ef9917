/*
 * What a person is asked to agree to, in plain sentences (SPEC §13): made from
 * operations, gates, hosts and scopes, never from a publisher's prose. Operations are read by their
 * names (list_recent_emails, send_draft); a name that says nothing is shown as it is. Pure.
 */
#ifndef BROKER_CONSENT_H
#define BROKER_CONSENT_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>

/*
 * What is looked at, as JSON:
 *   {"operations":[{"action"?,"op","gated":bool,"read_only":bool}…], "hosts":["host:port"…], "scopes":[…]}
 * An operation without an action is what a connector offers and nobody may call yet.
 */

/*
 * Sentences in a fixed order: what it reads, writes, sends, changes, deletes, each with its gate; what it cannot; where it connects;
 * what it asks the account for. [{"text","level":"plain|good|warn"}…]; warn: something irreversible that nobody is asked
 * about. New reference; NULL when out of memory.
 */
json_t *consent_sentences(const json_t *subject);

/*
 * What an update changes, loudest first: a vanished gate, a new host, a new operation or scope, then what is gone. Empty when it
 * asks for nothing else than before. [{"text","level":"loud|plain"}…]. New reference.
 */
json_t *consent_changes(const json_t *before, const json_t *after);

#endif
