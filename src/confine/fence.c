/* The fence is not there yet: whoever asks for it is told so and nothing is started. */
#include "confine/fence.h"

#include <errno.h>
#include <stdio.h>

#include "base/banned.h"

int fence_check(const struct fence_spec *spec, struct err *err)
{
    err_set(err, ENOSYS, "the fence is not built yet");
    err_hint(err, "--no-fence starts the agent without it");
    return -ENOSYS;
}

char *fence_describe(char *out, size_t size)
{
    snprintf(out, size, "none");
    return out;
}

int fence_start(const struct fence_spec *spec, int channel, fence_main_fn *fn, void *userdata, pid_t *ret_pid, struct err *err)
{
    return fence_check(spec, err);
}
