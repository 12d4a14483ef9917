/*
 * Functions that have no place here, made unusable. Included by every source
 * file after the system headers, through the build (-include is not used so
 * that the system's own inline functions still compile).
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

/* Macros in glibc's fortified headers when clang reads them. */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atoll gets system popen rand srand mktemp tmpnam

#endif
