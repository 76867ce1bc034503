// expect: the operation cannot be called with two of these values, or does not return one
#include <string>
#include <vector>

#include <rankpool/communicator.hpp>

void use(rankpool::Communicator& world) {
    (void)world.allreduce(1.5, [](const std::string& a, const std::string&) { return a; });
}
