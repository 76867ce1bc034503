// No rankpool in it: ranks that write in awkward ways, and standard inputs of awkward kinds.
//
//     streams torrent N              N lines "rank R line I …" on each stream, up to 20000 characters long, written in
//                                    pieces that begin and end anywhere
//     streams bytes N                one line of N characters, byte by byte, without a newline
//     streams last-words TEXT        writes TEXT without a newline on both streams, then kills itself
//     streams over-socket FILE WORD… runs the command WORD… with a socket as standard input that gives the file's text
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "meeting.hpp"

namespace {

void write_all(int stream, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = write(stream, text.data(), text.size());
        if (written < 0) _exit(9);
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

void torrent(int lines) {
    const int rank = number_from("RANK");
    unsigned state = static_cast<unsigned>(rank) + 1;
    const auto next = [&](unsigned limit) { return (state = state * 1664525 + 1013904223) / 65536 % limit; };
    std::string out, err;
    for (int i = 0; i < lines; ++i)
        for (std::string* text : {&out, &err}) {
            const unsigned length = i % 16 == 0 ? next(20000) : next(200);
            *text += "rank " + std::to_string(rank) + " line " + std::to_string(i) + " " +
                     std::string(length, static_cast<char>('a' + rank)) + "\n";
        }
    while (!out.empty() || !err.empty())
        for (std::string* text : {&out, &err}) {
            const std::size_t piece = std::min<std::size_t>(text->size(), next(8) == 0 ? next(30000) : next(300));
            write_all(text == &out ? STDOUT_FILENO : STDERR_FILENO, std::string_view(*text).substr(0, piece));
            text->erase(0, piece);
        }
}

int over_socket(const char* file, char** command) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 9;
    const pid_t writer = fork();
    if (writer == 0) {
        close(ends[0]);
        std::ifstream in(file, std::ios::binary);
        write_all(ends[1], std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>()));
        _exit(0);
    }
    close(ends[1]);
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[0], STDIN_FILENO);
        close(ends[0]);
        execvp(command[0], command);
        _exit(127);
    }
    close(ends[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    waitpid(writer, nullptr, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 9;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string way = argc > 2 ? argv[1] : "";
    if (way == "torrent") {
        torrent(std::atoi(argv[2]));
    } else if (way == "bytes") {
        for (int i = 0; i < std::atoi(argv[2]); ++i) write_all(STDOUT_FILENO, "x");
    } else if (way == "last-words") {
        for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) write_all(stream, argv[2]);
        raise(SIGKILL);
    } else if (way == "over-socket" && argc > 3) {
        return over_socket(argv[2], argv + 3);
    } else {
        return 64;
    }
    return 0;
}
