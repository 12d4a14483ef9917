/* aileron-worker: one connector's calls (--run) or one compilation (--compile), in an empty box. */
#include "worker/worker.h"

int main(int argc, char **argv)
{
    return worker_main(argc, argv, NULL);
}
