// expect: Give it a Boost.Serialization serialize function
#include <rankpool/rankpool.hpp>

#include <string>
#include <vector>

class Account {
  public:
    explicit Account(std::string owner) : owner_(std::move(owner)) {}
    const std::string& owner() const { return owner_; }

  private:
    std::string owner_;
};

void use(rankpool::Pool& pool) {
    const std::vector<Account> accounts{Account("a")};
    pool.map([](const Account& account) { return account.owner(); }, accounts);
}
