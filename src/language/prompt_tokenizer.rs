//! The interface of tokenizers to code that checks prompts and shows a vocabulary.

use super::byte_pairs::BytePairTokenizer;
use super::prompt::Prompt;
use super::tokenizer::Tokenizer;
use super::weighted::WeightedPrompt;
use crate::error::Result;

/// A tokenizer of prompts.
pub trait PromptTokenizer: Send + Sync {
    /// Checks a prompt, which messages call `flag` and which may have weights.
    ///
    /// # Errors
    /// If the prompt cannot be read, or nothing of it is in the vocabulary.
    fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt>;

    /// Whether two prompts are the same to the model.
    ///
    /// # Errors
    /// If a weight is wrong, or the tokenizer's rules cannot be applied.
    fn same_prompts(&self, one: &str, other: &str) -> Result<bool>;

    /// The most frequent known words; none if the vocabulary does not consist of words.
    fn common(&self, count: usize) -> Vec<String>;

    /// Whether prompts are lists of phrases, which commas separate.
    fn is_phrase_based(&self) -> bool;

    /// Number of tokens of the vocabulary.
    fn tokens(&self) -> usize;

    /// A copy of the tokenizer.
    fn copy(&self) -> Box<dyn PromptTokenizer>;
}

impl PromptTokenizer for Tokenizer {
    fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        Tokenizer::check_prompt(self, flag, prompt)
    }

    fn same_prompts(&self, one: &str, other: &str) -> Result<bool> {
        Tokenizer::same_prompts(self, one, other)
    }

    fn common(&self, count: usize) -> Vec<String> {
        Tokenizer::common(self, count)
    }

    fn is_phrase_based(&self) -> bool {
        Tokenizer::is_phrase_based(self)
    }

    fn tokens(&self) -> usize {
        self.len()
    }

    fn copy(&self) -> Box<dyn PromptTokenizer> {
        Box::new(self.clone())
    }
}

impl PromptTokenizer for BytePairTokenizer {
    fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        BytePairTokenizer::check_prompt(self, flag, prompt)
    }

    fn same_prompts(&self, one: &str, other: &str) -> Result<bool> {
        let [one, other] = [WeightedPrompt::parse(one)?, WeightedPrompt::parse(other)?];
        let read = |prompt: &WeightedPrompt| {
            let texts: Vec<&str> = [prompt.plain()].into_iter().chain(prompt.without()).collect();
            self.batch(&texts)
        };
        Ok(one.weights().eq(other.weights()) && read(&one)? == read(&other)?)
    }

    fn common(&self, _count: usize) -> Vec<String> {
        Vec::new()
    }

    fn is_phrase_based(&self) -> bool {
        false
    }

    fn tokens(&self) -> usize {
        self.len()
    }

    fn copy(&self) -> Box<dyn PromptTokenizer> {
        Box::new(self.clone())
    }
}
