// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice An honest token that anyone can mint.
contract PlainToken is ERC20 {
    constructor() ERC20("Plain", "PLN") { }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice Keeps a fee of every transfer, once `feeBps` is set.
contract FeeToken is PlainToken {
    uint256 public feeBps;

    function setFee(uint256 bps) external {
        feeBps = bps;
    }

    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : (value * feeBps) / 10_000;
        super._update(from, to, value - fee);
        if (fee != 0) super._update(from, address(0), fee);
    }
}

/// @notice Refuses to move money to listed accounts, as some stablecoins do.
contract BlocklistToken is PlainToken {
    mapping(address account => bool) public blocked;

    error Blocked(address account);

    function setBlocked(address account, bool isBlocked) external {
        blocked[account] = isBlocked;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (blocked[to]) revert Blocked(to);
        super._update(from, to, value);
    }
}

/// @notice Calls back into a target during every transfer, and remembers whether that worked.
contract CallbackToken is PlainToken {
    address public target;
    bytes public data;
    bool public succeeded;
    bytes public returned;
    uint256 public calls;

    function arm(address target_, bytes calldata data_) external {
        target = target_;
        data = data_;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (target == address(0)) return;
        (address callee, bytes memory payload) = (target, data);
        target = address(0);
        ++calls;
        (succeeded, returned) = callee.call(payload);
    }
}

/// @notice Returns nothing from transfer and approve, as USDT does.
contract NoReturnToken {
    mapping(address account => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice An honest token that turns hostile on command: burns all gas, returns false, or returns 50 kB.
contract MoodyToken is PlainToken {
    enum Mood {
        Honest,
        BurnsGas,
        ReturnsFalse,
        ReturnsBomb
    }

    Mood public mood;

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        if (mood == Mood.BurnsGas) {
            while (true) { }
        }
        if (mood == Mood.ReturnsFalse) return false;
        if (mood == Mood.ReturnsBomb) {
            assembly {
                return(0, 50000)
            }
        }
        return super.transfer(to, value);
    }
}

/// @notice Calls back as CallbackToken does, and then says that it did not move the money, or that it did and did not.
contract TurncoatToken is CallbackToken {
    bool private _refusing;
    bool private _lying;

    function setRefusing(bool refusing) external {
        _refusing = refusing;
    }

    function setLying(bool lying) external {
        _lying = lying;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        if (_lying) return true;
        if (!_refusing) return super.transfer(to, value);
        _update(msg.sender, msg.sender, value);
        return false;
    }
}
