#include "launch/job_socket.hpp"

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "os/failure.hpp"
#include "os/socket.hpp"
#include <rankpool/error.hpp>
#include <rankpool/version.hpp>

namespace rankpool::launch {
namespace {

constexpr std::uint64_t hello_magic = 0x6f6c6c65'686b6e72;  // "rnkhello"
constexpr std::uint32_t protocol = 1;
constexpr std::size_t longest_packet = 4096;

struct Hello {
    std::uint64_t magic = hello_magic;
    std::uint32_t protocol = launch::protocol;
    std::int32_t rank = 0;
};

enum class Verdict : std::uint32_t { welcome = 1, taken, refused };
struct Answer {
    Verdict verdict = Verdict::refused;
    std::int32_t rank = 0, size = 0;
};

template <class T>
std::vector<std::byte> packet(const T& head, const std::string& text) {
    std::vector<std::byte> bytes(sizeof head + text.size());
    std::memcpy(bytes.data(), &head, sizeof head);
    if (!text.empty()) std::memcpy(bytes.data() + sizeof head, text.data(), text.size());
    return bytes;
}

template <class T>
bool unpack(const std::vector<std::byte>& bytes, T& head, std::string& text) {
    if (bytes.size() < sizeof head) return false;
    std::memcpy(&head, bytes.data(), sizeof head);
    text.assign(reinterpret_cast<const char*>(bytes.data()) + sizeof head, bytes.size() - sizeof head);
    return true;
}

struct Address {
    sockaddr_un words{};
    socklen_t length = 0;

    explicit Address(const std::string& name) {
        words.sun_family = AF_UNIX;
        const std::size_t bytes = std::min(name.size(), sizeof words.sun_path - 1);
        std::memcpy(words.sun_path + 1, name.data(), bytes);
        length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + bytes);
    }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&words); }
};

std::string random_name() {
    unsigned char noise[16];
    if (getrandom(noise, sizeof noise, 0) != static_cast<ssize_t>(sizeof noise)) os::fail("getrandom");
    static constexpr char digits[] = "0123456789abcdef";
    std::string name = "rankrun." + std::to_string(getpid()) + ".";
    for (const unsigned char byte : noise) {
        name += digits[byte >> 4];
        name += digits[byte & 15];
    }
    return name;
}

std::optional<int> number_after(const std::string& text, std::size_t begin) {
    int value = 0;
    const char* first = text.data() + begin;
    const auto [end, error] = std::from_chars(first, text.data() + text.size(), value);
    if (error != std::errc() || end == first) return std::nullopt;
    return value;
}

}  // namespace

std::optional<pid_t> job_launcher() {
    const char* job = std::getenv("RANKPOOL_JOB");
    const std::string text = job != nullptr ? job : "";
    if (text.rfind("rankrun.", 0) != 0) return std::nullopt;
    return number_after(text, 8);
}

std::optional<JobMembership> join_job(const std::string& build_identity) {
    const char* job = std::getenv("RANKPOOL_JOB");
    const char* rank_text = std::getenv("RANKPOOL_RANK");
    if (job == nullptr || rank_text == nullptr) return std::nullopt;
    const auto rank = number_after(rank_text, 0);
    if (!rank) return std::nullopt;
    os::UniqueFd connection(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    const Address address{std::string(job)};
    if (!connection) os::fail("socket");
    if (os::retry_interrupted([&] { return connect(connection.get(), address.get(), address.length); }) != 0)
        return std::nullopt;  // the launcher is gone: a variable that somebody kept
    ucred peer{};
    socklen_t length = sizeof peer;
    if (getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.uid != geteuid()) return std::nullopt;

    const timeval patience{10, 0};
    setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    Hello hello;
    hello.rank = *rank;
    const auto bytes = packet(hello, build_identity);
    os::Packet answer;
    if (os::send_packet(connection.get(), bytes)) answer = os::receive_packet(connection.get(), longest_packet);
    const timeval forever{0, 0};
    setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    Answer verdict;
    std::string text;
    if (!answer.alive || !unpack(answer.bytes, verdict, text))
        throw LaunchError("rankrun does not answer; launcher and program may use different versions of rankpool (this is " + version() + ")");
    if (verdict.verdict == Verdict::taken) return std::nullopt;
    if (verdict.verdict != Verdict::welcome || answer.descriptors.size() != 1 || verdict.size < 1 || verdict.rank < 0 ||
        verdict.rank >= verdict.size)
        throw LaunchError(text.empty() ? "rankrun refuses this program without a reason" : text);
    return JobMembership{verdict.rank, verdict.size, std::move(answer.descriptors.front()), std::move(connection)};
}

JobDoor::JobDoor(int ranks, std::function<int()> memory)
    : name_(random_name()),
      memory_(std::move(memory)),
      door_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
      ranks_(static_cast<std::size_t>(ranks)) {
    if (!door_) os::fail("socket");
    const Address address(name_);
    os::check(bind(door_.get(), address.get(), address.length), "bind", "@" + name_);
    os::check(listen(door_.get(), 4096), "listen", "@" + name_);
}

std::vector<std::string> JobDoor::environment(int rank) const {
    return {"RANKPOOL_JOB=" + name_, "RANKPOOL_RANK=" + std::to_string(rank), "RANKPOOL_SIZE=" + std::to_string(ranks_.size())};
}

std::vector<int> JobDoor::descriptors() const {
    std::vector<int> all{door_.get()};
    for (const auto& connection : waiting_) all.push_back(connection.get());
    for (const Rank& rank : ranks_)
        if (rank.connection) all.push_back(rank.connection.get());
    return all;
}

void JobDoor::answer() {
    for (;;) {
        os::UniqueFd connection(accept4(door_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!connection) return;
        ucred peer{};
        socklen_t length = sizeof peer;
        // Abstract names are open to everybody on the machine.
        if (getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.uid != geteuid()) continue;
        waiting_.push_back(std::move(connection));
    }
}

bool JobDoor::ended(int descriptor, int& rank) {
    const auto waiting = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& fd) { return fd.get() == descriptor; });
    if (waiting != waiting_.end()) {
        os::UniqueFd connection = std::move(*waiting);
        waiting_.erase(waiting);
        receive_hello(std::move(connection));
        return false;
    }
    for (std::size_t i = 0; i < ranks_.size(); ++i) {
        if (ranks_[i].connection.get() != descriptor) continue;
        rank = static_cast<int>(i);
        ranks_[i].connection.reset();  // a rank says nothing after its hello: this is the end
        return true;
    }
    return false;
}

void JobDoor::receive_hello(os::UniqueFd connection) {
    ucred peer{};
    socklen_t length = sizeof peer;
    getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length);
    Hello hello;
    std::string identity;
    Answer answer;
    answer.size = static_cast<std::int32_t>(ranks_.size());
    std::string text;
    std::vector<int> descriptors;
    os::Packet received;
    try {
        received = os::receive_packet(connection.get(), longest_packet);
    } catch (const Error&) {
    }
    if (!received.alive) return;
    if (!unpack(received.bytes, hello, identity) || hello.magic != hello_magic || hello.protocol != protocol) {
        text = "rankrun " + version() + " and this program use different versions of rankpool";
    } else if (hello.rank < 0 || hello.rank >= answer.size) {
        text = "this job has no rank " + std::to_string(hello.rank) + "; RANKPOOL_RANK was changed";
    } else if (Rank& rank = ranks_[static_cast<std::size_t>(hello.rank)]; rank.connection) {
        answer.verdict = Verdict::taken;
    } else if (rank.pid != 0) {
        text = "rank " + std::to_string(hello.rank) + " of this job was another program (pid " + std::to_string(rank.pid) +
               "), which has ended: a rank can run one rankpool program; use one rankrun for each";
    } else if (!build_identity_.empty() && identity != build_identity_) {
        text = "this rank runs another build of the program than the ranks before it (build " + identity + ", theirs " +
               build_identity_ + "); start the same executable on every rank";
    } else {
        try {
            descriptors.push_back(memory_());
            build_identity_ = identity;
            answer.verdict = Verdict::welcome;
            answer.rank = hello.rank;
            rank.pid = peer.pid;
            (void)os::send_packet(connection.get(), packet(answer, text), descriptors);
            rank.connection = std::move(connection);
            return;
        } catch (const Error& error) {
            text = "there is no memory for a job of " + std::to_string(answer.size) + " ranks: " + error.what();
        }
    }
    (void)os::send_packet(connection.get(), packet(answer, text), descriptors);
}

}  // namespace rankpool::launch
