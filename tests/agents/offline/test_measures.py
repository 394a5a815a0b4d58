import pytest
import torch

from agentgym.agents.offline.measures import Measures
from agentgym.errors import NonFinite


def test_a_loss_that_is_not_finite_is_refused_as_everywhere_else():
    measures = Measures(("actor_loss", "critic_loss"))
    measures.steps += [(torch.tensor(1.0), torch.tensor(2.0)), (torch.tensor(3.0), torch.tensor(4.0))]
    assert measures.means(2) == {"actor_loss": 2.0, "critic_loss": 3.0}
    measures.steps.append((torch.tensor(1.0), torch.tensor(torch.nan)))
    with pytest.raises(NonFinite, match=r"a loss is not finite by gradient step 3: .*critic_loss"):
        measures.means(3)
