/*
 * A keeper without a will, for the tests of the broker's doors: hands its channel
 * and its listener to the test (<home>/puppet.sock), which speaks the protocol itself
 * (tests/rig/puppet.py), and ends when the test lets go.
 */
#include "keeper/client.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/banned.h"

static int hand_over(int socket)
{
    const int fds[] = { KEEPER_CHANNEL_FD, KEEPER_OWNER_FD };
    char byte = 'k', control[CMSG_SPACE(sizeof fds)] = { 0 };
    struct iovec part = { &byte, 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(header), fds, sizeof fds);
    return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char byte;

    if (argc < 3 || strcmp(argv[1], "--home"))
        return 2;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/puppet.sock", argv[2]);
    if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0 || hand_over(fd) < 0) {
        perror("aileron-keeper: puppet");
        return 1;
    }
    close(KEEPER_CHANNEL_FD);
    close(KEEPER_OWNER_FD);
    return read(fd, &byte, 1) == 0 ? 0 : 1;
}
