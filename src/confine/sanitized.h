/*
 * Whether this build runs under AddressSanitizer, whose runtime needs terabytes of
 * address space, signal stacks and a few system calls more. Such a build keeps
 * Landlock and both filters; it leaves out the limits on memory.
 */
#ifndef CONFINE_SANITIZED_H
#define CONFINE_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
#define CONFINE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define CONFINE_SANITIZED 1
#endif
#endif
#ifndef CONFINE_SANITIZED
#define CONFINE_SANITIZED 0
#endif

#endif
