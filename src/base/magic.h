/*
 * Every `void *` that comes back from a callback passes MAGIC_CAST, which stops
 * the program when the object is not what it should be (after Varnish's objects).
 * The struct's first member is `uint32_t magic`.
 */
#ifndef BASE_MAGIC_H
#define BASE_MAGIC_H

#include <stdint.h>
#include <stdlib.h>

static inline void *magic_check(void *object, uint32_t magic)
{
    if (!object || *(uint32_t *) object != magic)
        abort();
    return object;
}

#define MAGIC_CAST(type, object, number) ((type *) magic_check((object), (number)))

#endif
