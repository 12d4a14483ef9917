/*
 * Fuzzes the journal of approvals: the input is approvals.jsonl. Opening it must end, in an error or in a queue; what was read is
 * written back, and read again it is the same. No input may make two records of one id, or leave what is approved or runs.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "approval/journal.h"
#include "base/file.h"
#include "base/json.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir_used[64], path[96];

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void folder_remove(void)
{
    file_remove_tree(AT_FDCWD, dir_used);
}

static void folder_make(void)
{
    if (dir_used[0])
        return;
    json_init();
    snprintf(dir_used, sizeof dir_used, "%s/fuzz-journal-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    require(mkdtemp(dir_used) != NULL);
    atexit(folder_remove);
    snprintf(path, sizeof path, "%s/approvals.jsonl", dir_used);
}

static void file_put(const uint8_t *data, size_t size)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    require(fd >= 0 && file_write_full(fd, data, size) == 0);
}

/* Everything of it, oldest first. */
static bool text_add(struct approval *approval, void *userdata)
{
    CLEANUP_JSON json_t *card = approval_card(approval);
    CLEANUP_JSON json_t *asked = approval_asked(approval);
    CLEANUP_JSON json_t *json = approval_to_json(approval);

    require(json != NULL);
    require(approval->state != APPROVAL_APPROVED && approval->state != APPROVAL_RUNNING);
    require((card != NULL) == (approval->card != NULL) && (asked != NULL) == (approval->asked != NULL));
    require(approval_write(approval, userdata) == 0 && buf_add_char(userdata, '\n') == 0);
    return true;
}

/* False: it was refused. */
static bool take(struct buf *ret_text, bool compact)
{
    static const struct queue_limits limits = QUEUE_LIMITS_DEFAULT;
    CLEANUP_PTR(queue_free) struct queue *queue = NULL;
    CLEANUP_PTR(journal_close) struct journal *journal = NULL;
    struct err err = ERR_INIT;

    require(queue_new(&limits, &queue) == 0);
    if (journal_open(path, queue, 1000, &journal, NULL, &err) < 0) {
        require(err.message[0] != '\0');
        return false;
    }
    require(queue_pending(queue) <= queue_len(queue));
    queue_visit_oldest(queue, text_add, ret_text);
    require(!compact || journal_compact(journal, queue, true, &err) == 0);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_free) struct buf first = BUF_INIT(64 << 20);
    CLEANUP(buf_free) struct buf second = BUF_INIT(64 << 20);
    CLEANUP(buf_free) struct buf third = BUF_INIT(64 << 20);

    folder_make();
    file_put(data, size);
    if (!take(&first, false))
        return 0;
    require(take(&second, true) && take(&third, false));
    require(!strcmp(buf_str(&first), buf_str(&second)) && !strcmp(buf_str(&second), buf_str(&third)));
    return 0;
}
