// expect: the operation can be called on the range as well as on its elements
// A range that can be added as a whole and element by element: which one is meant has to be said.
#include <functional>
#include <vector>

#include <rankpool/communicator.hpp>

struct Polynomial : std::vector<double> {
    using std::vector<double>::vector;
};
Polynomial operator+(const Polynomial& a, const Polynomial&) { return a; }

void use(rankpool::Communicator& world) { (void)world.allreduce(Polynomial(3), std::plus<>{}); }
