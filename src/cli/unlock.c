/* Creating and unlocking. A wrong passphrase is asked for again at a terminal only; who gives a file or a variable is told once. */
#include "cli/unlock.h"

#include "cli/passphrase.h"
#include "cli/term.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

#define TRIES     3
#define PAUSE_MAX 60
#define DERIVING  "deriving the key from the passphrase …"

/* SPEC §13. */
static void put_words(const char *path)
{
    CLEANUP(buf_free) struct buf clean = BUF_INIT(64 * 1024);
    CLEANUP(buf_free) struct buf text = BUF_INIT(64 * 1024);

    text_clean(path, strlen(path), false, &clean);
    buf_printf(&text,
        "A new Aileron vault is being created.\n"
        "\n"
        "Its passphrase protects every secret in it. The passphrase is never stored and never sent anywhere, and nobody can "
        "recover "
        "it: who loses it has to delete the vault file (%s) and to add everything again. Keep it safe.\n",
        buf_str(&clean));
    fflush(stdout);
    term_paragraph(stderr, buf_str(&text), 0);
    fputc('\n', stderr);
}

static int fail_passphrase(int r, const struct err *err)
{
    return cli_fail(r == -ENOKEY ? CODE_LOCKED : CODE_FAILED, err);
}

int cli_create_vault(struct cli *cli, struct keeper *keeper, bool dev)
{
    CLEANUP(keeper_answer_free) struct keeper_answer answer = { 0 };
    CLEANUP_PTR(secret_free) struct secret *passphrase = NULL;
    CLEANUP(wire_free) struct wire_frame request = { 0 };
    struct err err = ERR_INIT;
    bool at_terminal = passphrase_source(cli) == PASSPHRASE_TERMINAL;
    int code, r;

    if (passphrase_source(cli) != PASSPHRASE_NOWHERE)
        put_words(keeper_vault_path(keeper));
    r = at_terminal ? passphrase_ask_new("Vault passphrase: ", "Confirm passphrase: ", &passphrase, &err)
                    : passphrase_get(cli, NULL, &passphrase, &err);
    if (r < 0)
        return fail_passphrase(r, &err);
    wire_init(&request, OWNER_CREATE, 0);
    keeper_put_secret(&request, passphrase);
    wire_put_u8(&request, dev);
    code = keeper_ask(cli, keeper, &request, DERIVING, &answer);
    if (code)
        return code;
    if (answer.result != KEEPER_OK)
        return keeper_fail(&answer);
    passphrase_forget();
    cli_note("aileron: the vault %s was created and is unlocked", keeper_vault_path(keeper));
    return CODE_DONE;
}

/* Seconds until the next try may begin, as a KEEPER_WRONG_PASSPHRASE tells them. */
static unsigned pause_of(const struct keeper_answer *answer)
{
    unsigned long seconds = strtoul(answer->detail ? answer->detail : "", NULL, 10);

    return seconds > PAUSE_MAX ? PAUSE_MAX : (unsigned) seconds;
}

static int wait_pause(const struct cli *cli, unsigned seconds)
{
    struct timespec left = { .tv_sec = seconds };

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        if (cli->interrupted && *cli->interrupted)
            return cli_failf(CODE_FAILED, NULL, "interrupted");
    return CODE_DONE;
}

/* One passphrase, asked for and told to the keeper. *ret_passphrase stays NULL when there was nothing to tell. */
static int try_passphrase(
    struct cli *cli, struct keeper *keeper, const char *prompt, struct secret **ret_passphrase, struct keeper_answer *answer)
{
    CLEANUP_PTR(secret_free) struct secret *passphrase = NULL;
    CLEANUP(wire_free) struct wire_frame request = { 0 };
    struct err err = ERR_INIT;
    int r = passphrase_get(cli, prompt, &passphrase, &err), code;

    if (r == -EAGAIN) {
        answer->result = KEEPER_WRONG_PASSPHRASE;
        answer->message = strdup(err.message);
        return CODE_DONE;
    }
    if (r < 0)
        return fail_passphrase(r, &err);
    wire_init(&request, OWNER_UNLOCK, 0);
    keeper_put_secret(&request, passphrase);
    code = keeper_ask(cli, keeper, &request, DERIVING, answer);
    if (!code)
        *ret_passphrase = TAKE_PTR(passphrase);
    return code;
}

/* Says that it was wrong and waits until the next try may begin. */
static int pause_after(const struct cli *cli, const struct keeper_answer *answer)
{
    unsigned seconds = pause_of(answer);

    cli_note("aileron: %s", answer->message && *answer->message ? answer->message : "the passphrase is wrong");
    if (seconds)
        cli_note("aileron: the next try is possible in %u s", seconds);
    return wait_pause(cli, seconds);
}

int cli_prove_passphrase(struct cli *cli, struct keeper *keeper, const char *prompt, struct secret **ret_passphrase)
{
    unsigned tries = passphrase_source(cli) == PASSPHRASE_TERMINAL ? TRIES : 1;

    for (unsigned i = 1;; i++) {
        CLEANUP(keeper_answer_free) struct keeper_answer answer = { 0 };
        CLEANUP_PTR(secret_free) struct secret *passphrase = NULL;
        int code = try_passphrase(cli, keeper, prompt, &passphrase, &answer);

        if (!code && answer.result == KEEPER_OK) {
            passphrase_forget(); /* what follows may take long and has no use for it */
            if (ret_passphrase)
                *ret_passphrase = TAKE_PTR(passphrase);
            return CODE_DONE;
        }
        if (!code && (answer.result != KEEPER_WRONG_PASSPHRASE || i == tries))
            return keeper_fail(&answer);
        if (!code)
            code = pause_after(cli, &answer);
        if (code)
            return code;
    }
}

int cli_unlock(struct cli *cli, enum unlock_kind kind, struct keeper **ret_keeper, bool *ret_opened)
{
    CLEANUP_PTR(keeper_close) struct keeper *keeper = NULL;
    int code = keeper_open(cli, &keeper);
    bool opened;

    if (code)
        return code;
    opened = keeper_state(keeper) != KEEPER_VAULT_UNLOCKED;
    if (keeper_state(keeper) == KEEPER_VAULT_MISSING)
        code = kind == UNLOCK_OR_CREATE ? cli_create_vault(cli, keeper, false)
                                        : cli_failf(CODE_FAILED, "aileron vault init", "there is no vault yet");
    else if (opened)
        code = cli_prove_passphrase(cli, keeper, "Vault passphrase: ", NULL);
    if (code)
        return code;
    passphrase_forget();
    if (ret_opened)
        *ret_opened = opened;
    if (ret_keeper)
        *ret_keeper = TAKE_PTR(keeper);
    return CODE_DONE;
}
