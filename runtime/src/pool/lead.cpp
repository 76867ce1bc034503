#include "pool/lead.hpp"

#include "pool/pace.hpp"

namespace rankpool::pool {

Lead::Lead(comm::Post::Of of, comm::Post::Open open) {
    std::shared_future<Manager*> manager = made_.get_future().share();  // messages may come before there is a manager
    post_.emplace(of, std::move(open), [manager](comm::Message&& message) { manager.get()->handle(std::move(message)); },
                  [manager] { return manager.wait_for(std::chrono::seconds(0)) == std::future_status::ready ? manager.get()->within() : Pace::shortest; });
    manager_.emplace(*post_);
    made_.set_value(&*manager_);
}

Lead::~Lead() { post_.reset(); }

}  // namespace rankpool::pool
